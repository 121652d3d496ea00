# SPDX-License-Identifier: Apache-2.0
# The groups of the conformance table, a CTest entry each.
set(groups init context stream order event module library launch copy set memop fault alloc host managed
           vmm pool peer pointer source killed)
