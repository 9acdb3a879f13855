#define CNNFAST_ISA avx2
#include "../simd/octet_avx2.hpp"
// (the Octet above comes first: everything below is written against it)
#include "../kernels/image_warp.hpp"
