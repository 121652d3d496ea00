#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A call of each banned function must not compile, and what is used instead must.
# Usage: test_banned.sh COMPILER SOURCE_ROOT
compiler=$1 root=$2 failed=0

compiles() {
    printf '#include <stdio.h>\n#include <string.h>\nint f(char *a, char *b);\n%s\n' \
           "int f(char *a, char *b) { (void)a, (void)b; $1; return 0; }" |
        "$compiler" -std=gnu17 -D_GNU_SOURCE -include "$root/base/banned.h" -x c -fsyntax-only - 2>/dev/null
}

compiles 'snprintf(a, 4, "%s", b); memcpy(a, b, 2); system_of = 0' && failed=1 # undeclared name
compiles 'snprintf(a, 4, "%s", b); memcpy(a, b, 2)' || { echo "the allowed form fails"; failed=1; }
for call in 'sprintf(a, "x")' 'strcpy(a, b)' 'strcat(a, b)' 'strncpy(a, b, 1)' 'strncat(a, b, 1)' \
            'strtok(a, b)' 'atoi(a)' 'atol(a)' 'atoll(a)' 'atof(a)' 'system(a)' 'mktemp(a)' \
            'tmpnam(a)' 'gets(a)' 'ctime(0)' 'asctime(0)' 'gmtime(0)' 'localtime(0)'; do
    if compiles "$call"; then
        echo "compiles: $call"
        failed=1
    fi
done
exit $failed
