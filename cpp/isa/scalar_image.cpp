#define CNNFAST_ISA scalar
#include "../simd/octet_scalar.hpp"
// (the Octet above comes first: everything below is written against it)
#include "../kernels/image_warp.hpp"
