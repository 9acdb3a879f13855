// What a kernel does to a result just before storing it.
#pragma once

namespace cnnfast {

enum class Epilogue : int { none = 0, relu = 1, relu6 = 2 };

}  // namespace cnnfast
