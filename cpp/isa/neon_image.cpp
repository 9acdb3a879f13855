#define CNNFAST_ISA neon
#include "../simd/octet_neon.hpp"
// (the Octet above comes first: everything below is written against it)
#include "../kernels/image_warp.hpp"
