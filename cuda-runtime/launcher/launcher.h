/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/launcher/launcher.h - start a program so that it meets our CUDA libraries.
 *
 * Three variables do it, for the started program only: LD_LIBRARY_PATH (which libcuda), LD_PRELOAD
 * (our libcudart; the same SONAME also satisfies a DT_RPATH), LD_AUDIT (the redirect for embedded
 * runtimes). What cannot work is told before the start. Used by softcuda-run and `compose run`.
 * Source: ld.so(8).
 */
#ifndef CUDA_RUNTIME_LAUNCHER_LAUNCHER_H
#define CUDA_RUNTIME_LAUNCHER_LAUNCHER_H

#include <limits.h>

#include "base/status.h"

struct fab_err;

struct launcher_request {
    const char *driver_dir;  /* holds libcuda.so.1 and libnvidia-ml.so.1 */
    const char *runtime_dir; /* holds libcudart.so.13 and libcudart-redirect.so */
    char *const *argv;       /* the program and its arguments, NULL-terminated */
    const char *const *set;  /* further "NAME=value" entries, NULL-terminated; may be NULL */
};

/* The folder <prefix>/lib/<name> or <prefix>/lib/fabricd/<name> beside the running program's
 * <prefix>/bin: where the build and the installation put our libraries. FAB_ERR_NOT_FOUND else. */
FAB_NODISCARD enum fab_status launcher_library_dir(const char *name, char dir_out[PATH_MAX],
                                                   struct fab_err *err);

/* The file that `name` means, as a shell would find it. FAB_ERR_NOT_FOUND, FAB_ERR_DENIED. */
FAB_NODISCARD enum fab_status launcher_find_program(const char *name, char path_out[PATH_MAX],
                                                    struct fab_err *err);

/**
 * launcher_exec - become the program.
 * Prints one line to stderr for what will not work (statically linked, set-user-ID, embedded
 * runtime under gcc's thread sanitizer) and starts it all the same: it may not need CUDA.
 * Returns only on failure: FAB_ERR_NOT_FOUND, FAB_ERR_DENIED, FAB_ERR_NOMEM, FAB_ERR_IO.
 */
enum fab_status launcher_exec(const struct launcher_request *request, struct fab_err *err);

/**
 * launcher_environment - the environment that launcher_exec() would use; for tests and `env`.
 * @inherited: the present environment, borrowed.
 * @environment_out: a NULL-terminated list; it and its strings are given
 * (launcher_environment_free). Lists that are set already are added to, never replaced.
 */
FAB_NODISCARD enum fab_status launcher_environment(const struct launcher_request *request,
                                                   const char *program_path, char *const *inherited,
                                                   char ***environment_out, struct fab_err *err);
void launcher_environment_free(char **environment); /* takes NULL */

#endif /* CUDA_RUNTIME_LAUNCHER_LAUNCHER_H */
