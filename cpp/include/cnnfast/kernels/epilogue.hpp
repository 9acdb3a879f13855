// What a kernel does to a result just before storing it.
#pragma once

namespace cnnfast {

enum class Epilogue : int { none = 0, relu = 1, relu6 = 2 };

// What becomes of a convolution's sums: y = epilogue(sum + b + residual). b has a float a channel, residual the shape
// of y and may be y itself; both may be null.
struct Ending {
  const float* b;
  const float* residual;
  Epilogue epilogue;
};

}  // namespace cnnfast
