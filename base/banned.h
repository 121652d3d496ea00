/* SPDX-License-Identifier: Apache-2.0
 * base/banned.h - functions that nobody here calls; a call does not compile.
 *
 * Put in front of every file that links `base` (base/CMakeLists.txt), so that it cannot be
 * forgotten. The error names what to use: 'use_snprintf_instead_of_sprintf' undeclared.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* First their own headers: a macro may not stand in the way of a declaration. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* No bound on what is written. */
#undef sprintf
#define sprintf(...) use_snprintf_instead_of_sprintf
#undef vsprintf
#define vsprintf(...) use_vsnprintf_instead_of_vsprintf
#undef strcpy
#define strcpy(...) use_snprintf_or_memcpy_instead_of_strcpy
#undef strcat
#define strcat(...) use_snprintf_instead_of_strcat
#undef gets
#define gets(...) use_fgets_instead_of_gets

/* Do not always end the text. */
#undef strncpy
#define strncpy(...) use_snprintf_or_memcpy_instead_of_strncpy
#undef strncat
#define strncat(...) use_snprintf_instead_of_strncat

/* Hidden state shared by all threads. */
#undef strtok
#define strtok(...) use_strtok_r_or_strcspn_instead_of_strtok
#undef asctime
#define asctime(...) use_strftime_instead_of_asctime
#undef ctime
#define ctime(...) use_strftime_instead_of_ctime
#undef gmtime
#define gmtime(...) use_gmtime_r_instead_of_gmtime
#undef localtime
#define localtime(...) use_localtime_r_instead_of_localtime

/* Malformed numbers are 0, large ones undefined. */
#undef atoi
#define atoi(...) use_fab_parse_int_instead_of_atoi
#undef atol
#define atol(...) use_fab_parse_int_instead_of_atol
#undef atoll
#define atoll(...) use_fab_parse_int_instead_of_atoll
#undef atof
#define atof(...) use_strtod_instead_of_atof

/* A shell in between, and a race. */
#undef system
#define system(...) use_posix_spawn_instead_of_system
#undef mktemp
#define mktemp(...) use_mkstemp_instead_of_mktemp
#undef tmpnam
#define tmpnam(...) use_mkstemp_instead_of_tmpnam

#endif /* BASE_BANNED_H */
