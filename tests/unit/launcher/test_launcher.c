/* SPDX-License-Identifier: Apache-2.0
 * launcher_environment(): what a started program finds in its environment.
 */
#include "cuda-runtime/launcher/launcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/check.h"

static const char *value_of(char **environment, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; environment[i]; i++)
        if (strncmp(environment[i], name, length) == 0 && environment[i][length] == '=')
            return environment[i] + length + 1;
    return "(unset)";
}

static void test_environment(void)
{
    static char path[] = "LD_LIBRARY_PATH=/opt/lib", preload[] = "LD_PRELOAD=/x.so";
    static char audit[] = "LD_AUDIT=/a.so", empty[] = "LD_PRELOAD=", other[] = "HOME=/root";
    static char config[] = "SOFTCUDA_CONFIG=/old";
    static const struct {
        const char *label;
        char *inherited[4];
        const char *set[2];
        const char *library_path, *preload, *audit, *config;
    } cases[] = {
        {"nothing set before",
         {other},
         {NULL},
         "/d:/r",
         "/r/libcudart.so.13",
         "/r/libcudart-redirect.so",
         "(unset)"},
        {"lists are added to",
         {path, preload, audit},
         {NULL},
         "/d:/r:/opt/lib",
         "/r/libcudart.so.13:/x.so",
         "/r/libcudart-redirect.so:/a.so",
         "(unset)"},
        {"an empty list gets no separator",
         {empty},
         {NULL},
         "/d:/r",
         "/r/libcudart.so.13",
         "/r/libcudart-redirect.so",
         "(unset)"},
        {"a set variable replaces an inherited one",
         {config},
         {"SOFTCUDA_CONFIG=/new"},
         "/d:/r",
         "/r/libcudart.so.13",
         "/r/libcudart-redirect.so",
         "/new"},
    };
    static char program[] = "/bin/true";
    char *const argv[] = {program, NULL};

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        struct launcher_request request = {
            .driver_dir = "/d", .runtime_dir = "/r", .argv = argv, .set = cases[i].set};
        char **environment = NULL;

        CHECK_CASE("%s", cases[i].label);
        if (!CHECK_EQ(launcher_environment(&request, program, cases[i].inherited, &environment,
                                           /* err */ NULL),
                      FAB_OK))
            continue;
        CHECK_STR(value_of(environment, "LD_LIBRARY_PATH"), cases[i].library_path);
        CHECK_STR(value_of(environment, "LD_PRELOAD"), cases[i].preload);
        CHECK_STR(value_of(environment, "LD_AUDIT"), cases[i].audit);
        CHECK_STR(value_of(environment, "SOFTCUDA_CONFIG"), cases[i].config);
        launcher_environment_free(environment);
    }
}

static void test_find_program(void)
{
    static const struct {
        const char *label, *name;
        enum fab_status status;
        const char *part;
    } cases[] = {
        {"absolute", "/bin/sh", FAB_OK, "/bin/sh"},
        {"by PATH", "sh", FAB_OK, "/sh"},
        {"absent", "no-such-program-here", FAB_ERR_NOT_FOUND, ""},
        {"absent with a folder", "./no-such-program", FAB_ERR_NOT_FOUND, ""},
        {"a folder", "/tmp", FAB_ERR_DENIED, ""},
        {"not executable", "/etc/passwd", FAB_ERR_DENIED, ""},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        char path[PATH_MAX] = "";
        struct fab_err err = {0};

        CHECK_CASE("%s", cases[i].label);
        CHECK_EQ(launcher_find_program(cases[i].name, path, &err), cases[i].status);
        if (cases[i].status == FAB_OK)
            CHECK_HAS(path, cases[i].part);
        else
            CHECK_HAS(err.text, cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_environment), CHECK_TEST(test_find_program)};

    return check_run(tests);
}
