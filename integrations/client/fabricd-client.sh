# SPDX-License-Identifier: Apache-2.0
# Programs started from here meet the CUDA runtime that works on the public driver API: shared ones by
# preload, those that embed NVIDIA's static runtime by the audit library. `compose run` does the same for
# one program, and tells what cannot work.
if [ -d /usr/lib/fabricd/runtime ]; then
    case ":${LD_PRELOAD:-}:" in
    *:/usr/lib/fabricd/runtime/libcudart.so.13:*) ;;
    *)
        export LD_PRELOAD="/usr/lib/fabricd/runtime/libcudart.so.13${LD_PRELOAD:+:$LD_PRELOAD}"
        export LD_AUDIT="/usr/lib/fabricd/runtime/libcudart-redirect.so${LD_AUDIT:+:$LD_AUDIT}"
        ;;
    esac
fi
