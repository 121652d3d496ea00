/* SPDX-License-Identifier: Apache-2.0
 * cuda-runtime/redirect/plan.c - see plan.h.
 */
#include "cuda-runtime/redirect/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cuda-runtime/redirect/elf_file.h"
#include "cuda-runtime/redirect/patch.h"

/* Every program with an embedded runtime defines this one; compiled code cannot do without. */
static const char REGISTER_NAME[] = "__cudaRegisterFatBinary";
/* Only a 12.x runtime has this name: 13 has the unversioned one alone. */
static const char MAJOR_12_NAME[] = "cudaGetDeviceProperties_v2";

struct target_list {
    struct plan_target *entries;
    size_t count, capacity;
    bool out_of_memory;
};

static bool add_target(void *arg, const struct elf_symbol *symbol)
{
    struct target_list *list = arg;

    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 512;
        struct plan_target *entries = realloc(list->entries, capacity * sizeof(*entries));
        if (!entries) {
            list->out_of_memory = true;
            return false;
        }
        list->entries = entries;
        list->capacity = capacity;
    }
    list->entries[list->count++] =
        (struct plan_target){.name = symbol->name, .value = symbol->value};
    return true;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct plan_target *)left)->name,
                  ((const struct plan_target *)right)->name);
}

enum fab_status plan_targets_init(const struct elf_file *runtime, struct plan_targets *targets,
                                  struct fab_err *err)
{
    struct target_list list = {0};

    elf_functions(runtime, /* dynamic */ true, add_target, &list);
    if (list.out_of_memory || list.count == 0) {
        free(list.entries);
        return list.count == 0 ? fab_err_set(err, FAB_ERR_FORMAT, "the runtime exports nothing")
                               : fab_err_set(err, FAB_ERR_NOMEM, "list of runtime functions");
    }
    qsort(list.entries, list.count, sizeof(*list.entries), by_name);
    *targets = (struct plan_targets){.entries = list.entries, .count = list.count};
    return FAB_OK;
}

void plan_targets_fini(struct plan_targets *targets)
{
    free(targets->entries);
    *targets = (struct plan_targets){0};
}

static const struct plan_target *target_find(const struct plan_targets *targets, const char *name)
{
    struct plan_target key = {.name = name};

    return bsearch(&key, targets->entries, targets->count, sizeof(key), by_name);
}

/* What one pass over the object's functions collects. */
struct survey {
    const struct plan_targets *targets;
    uintptr_t object_base, runtime_base;
    bool has_register, is_major_12;
    struct patch_entry *entries;
    size_t count;
    uint64_t *starts; /* of all functions, to see how much room an entry has */
    size_t start_count, start_capacity;
    bool out_of_memory;
};

static bool keep_start(struct survey *survey, uint64_t value)
{
    if (survey->start_count == survey->start_capacity) {
        size_t capacity = survey->start_capacity ? survey->start_capacity * 2 : 4096;
        uint64_t *starts = realloc(survey->starts, capacity * sizeof(*starts));
        if (!starts)
            return false;
        survey->starts = starts;
        survey->start_capacity = capacity;
    }
    survey->starts[survey->start_count++] = value;
    return true;
}

static bool survey_function(void *arg, const struct elf_symbol *symbol)
{
    struct survey *survey = arg;
    const struct plan_target *target = target_find(survey->targets, symbol->name);

    if (!keep_start(survey, symbol->value)) {
        survey->out_of_memory = true;
        return false;
    }
    if (strcmp(symbol->name, REGISTER_NAME) == 0)
        survey->has_register = true;
    if (strcmp(symbol->name, MAJOR_12_NAME) == 0)
        survey->is_major_12 = true;
    if (target && survey->count < survey->targets->count)
        survey->entries[survey->count++] = (struct patch_entry){
            .address = survey->object_base + symbol->value,
            .target = survey->runtime_base + target->value,
        };
    return true;
}

static int by_value(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;

    return *a < *b ? -1 : *a > *b;
}

/* Bytes from `value` to the next function's start; a lot for the last one. */
static uint64_t room_after(const struct survey *survey, uint64_t value)
{
    size_t low = 0, high = survey->start_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (survey->starts[middle] <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < survey->start_count ? survey->starts[low] - value : UINT64_MAX;
}

static int entry_by_address(const void *left, const void *right)
{
    const struct patch_entry *a = left, *b = right;

    return a->address < b->address ? -1 : a->address > b->address;
}

static enum fab_status check_entries(struct survey *survey, struct fab_err *err)
{
    qsort(survey->starts, survey->start_count, sizeof(*survey->starts), by_value);
    qsort(survey->entries, survey->count, sizeof(*survey->entries), entry_by_address);
    for (size_t i = 0; i < survey->count; i++) {
        uint64_t value = survey->entries[i].address - survey->object_base;
        if (i > 0 && survey->entries[i - 1].address == survey->entries[i].address)
            return fab_err_set(err, FAB_ERR_UNSUPPORTED,
                               "two runtime functions share one address (identical code folding)");
        if (room_after(survey, value) < PATCH_JUMP_BYTES)
            return fab_err_set(err, FAB_ERR_UNSUPPORTED,
                               "the runtime function at %#llx has no room for a jump",
                               (unsigned long long)value);
    }
    return FAB_OK;
}

/* The names of errors lie in every runtime's constants, also where no device code is. */
static bool holds_error_names(const struct elf_file *object)
{
    static const char name[] = "cudaErrorInsufficientDriver";
    const Elf64_Shdr *constants = elf_section_find(object, ".rodata");

    return constants && constants->sh_offset <= object->size_bytes &&
           constants->sh_size <= object->size_bytes - constants->sh_offset &&
           memmem(object->bytes + constants->sh_offset, constants->sh_size, name, sizeof(name));
}

static bool is_register(void *arg, const struct elf_symbol *symbol)
{
    bool *found = arg;

    *found = strcmp(symbol->name, REGISTER_NAME) == 0;
    return !*found;
}

/* An object with a runtime of its own that has no symbol table: it neither imports a runtime nor is
 * a shared one, and holds device code or what every runtime holds. */
static bool is_stripped(const struct elf_file *object)
{
    bool is_shared_runtime = false;

    if (elf_section_find(object, ".symtab") || elf_imports(object, REGISTER_NAME))
        return false;
    if (elf_section_find(object, ".nv_fatbin") || elf_section_find(object, ".nvFatBinSegment"))
        return true;
    if (!holds_error_names(object))
        return false;
    elf_functions(object, /* dynamic */ true, is_register, &is_shared_runtime);
    return !is_shared_runtime;
}

enum fab_status plan_object(const struct elf_file *object, uintptr_t object_base,
                            const struct plan_targets *targets, uintptr_t runtime_base,
                            enum plan_kind *kind_out, struct patch_entry **entries_out,
                            size_t *count_out, struct fab_err *err)
{
    struct survey survey = {
        .targets = targets,
        .object_base = object_base,
        .runtime_base = runtime_base,
        .entries = calloc(targets->count, sizeof(struct patch_entry)),
    };
    enum plan_kind kind = PLAN_NOTHING;
    enum fab_status status = FAB_OK;

    if (!survey.entries)
        return fab_err_set(err, FAB_ERR_NOMEM, "list of functions to redirect");
    elf_functions(object, /* dynamic */ false, survey_function, &survey);
    if (survey.out_of_memory)
        status = fab_err_set(err, FAB_ERR_NOMEM, "list of functions");
    else if (!survey.has_register)
        kind = is_stripped(object) ? PLAN_STRIPPED : PLAN_NOTHING;
    else if (survey.is_major_12)
        kind = PLAN_WRONG_MAJOR;
    else if (elf_has_text_relocations(object))
        status = fab_err_set(err, FAB_ERR_UNSUPPORTED, "its code has relocations (DT_TEXTREL)");
    else if ((status = check_entries(&survey, err)) == FAB_OK)
        kind = PLAN_REDIRECT;

    free(survey.starts);
    if (status != FAB_OK || kind != PLAN_REDIRECT) {
        free(survey.entries);
        survey.entries = NULL;
        survey.count = 0;
    }
    if (status != FAB_OK)
        return status;
    *kind_out = kind;
    *entries_out = survey.entries;
    *count_out = survey.count;
    return FAB_OK;
}
