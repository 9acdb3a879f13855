// What a kernel does to a result just before storing it.
#pragma once
#include <cstdint>

namespace cnnfast {

enum class Epilogue : int { none = 0, relu = 1, relu6 = 2 };

// What becomes of a convolution's sums: y = epilogue(sum + b + residual). b has a float a channel, residual the shape
// of y and may be y itself; both may be null. With pool, y has the largest of each 2x2 of them instead, argmax which it
// was (0 to 3, null: not wanted); sums have an even number of rows and columns then, and no residual. moments, if not
// null, gets the moments of y (see cnnfast/kernels/norm.hpp) of each block of pixels; pool does not go with it. gate,
// if not null, has the shape of y and is what an epilogue made: y is then what that epilogue's gradient lets through of
// the sums; neither pool nor moments go with it.
struct Ending {
  const float* b;
  const float* residual;
  Epilogue epilogue;
  bool pool = false;
  std::uint8_t* argmax = nullptr;
  float* moments = nullptr;
  const float* gate = nullptr;
};

}  // namespace cnnfast
