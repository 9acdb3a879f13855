// A convolution and its ending as an operation graph of cuDNN, and the engines that it can be run by.
#pragma once
#include <string>
#include <vector>

#include "cudnn.hpp"
#include "cudnn_api.hpp"

namespace cnnfast::cuda::cudnn {

// By these the tensors of a graph are known when it is run; the first two are in the order of CudnnConv::run.
enum TensorId : std::int64_t { kFirst = 1, kSecond, kOut, kBias, kResidual, kBetween };

// With all that it refers to.
struct ConvGraph {
  std::vector<Descriptor> parts;
  Descriptor graph{Kind::graph};
  std::vector<std::int64_t> ids;  // of the tensors in memory
};
ConvGraph conv_graph(const CudnnConvSpec& spec, Handle handle);  // throws Error if there is no such graph

// A setting of an engine that may run a graph.
struct EngineChoice {
  Descriptor config;
  std::string name;  // of the engine and its settings: equal for equal choices
  std::vector<NumericalNote> notes;
  bool is_compiled;  // when its plan is made, which takes a second or more
  bool has(NumericalNote note) const;
};
// As the heuristics rank them, at most `most`.
std::vector<EngineChoice> engine_choices(const ConvGraph& graph, HeuristicMode mode, std::int64_t most);

// Whether an engine computes what the spec allows, and the same each time.
bool is_exact_enough(const EngineChoice& engine, const CudnnConvSpec& spec);

std::string describe(const CudnnConvSpec& spec);

}  // namespace cnnfast::cuda::cudnn
