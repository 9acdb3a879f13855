// The CUDA runtime for host code: memory, streams, events and graphs.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cuda_runtime_api.h"
#include "execution.hpp"

namespace {

using Work = std::function<void()>;

// What is recorded instead of done, from the stream where the capture began and those that wait for its events.
struct Capture {
  std::vector<Work> work;
  cudaStream_t origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false;
  std::set<cudaStream_t> unjoined;  // other streams with work that no other one waits for
};

}  // namespace

struct CUstream_st {
  explicit CUstream_st(unsigned of) : flags(of) {}
  unsigned flags;
  std::shared_ptr<Capture> capture;
  std::uint64_t recorded = 0;  // how much this stream has recorded in its capture
};

struct CUevent_st {
  explicit CUevent_st(unsigned of) : flags(of) {}
  unsigned flags;
  bool recorded = false;
  std::chrono::steady_clock::time_point at{};
  std::shared_ptr<Capture> capture;  // that it was recorded in
  cudaStream_t stream = nullptr;
  std::uint64_t after = 0;  // what that stream had recorded
};

struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace {

constexpr std::size_t kAlign = 256;
constexpr std::size_t kDefaultMemory = std::size_t{16} << 30;

// All that follows is guarded by it, except what is of one thread, and is never destroyed: objects that live until the
// process ends may still free what they have.
std::mutex mutex;
auto& allocations = *new std::map<char*, std::size_t>;  // and their sizes
std::size_t allocated = 0;
auto& streams = *new std::set<cudaStream_t>;
auto& events = *new std::set<cudaEvent_t>;
auto& captures = *new std::set<Capture*>;
thread_local cudaError_t last_error = cudaSuccess;
thread_local cudaStreamCaptureMode own_mode = cudaStreamCaptureModeGlobal;

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

bool has_device() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible == nullptr || (*visible != 0 && std::strcmp(visible, "-1") != 0);
}

std::size_t memory_of_device() {
  const char* bytes = std::getenv("CNNFAST_EMULATED_CUDA_MEMORY");
  return bytes == nullptr || *bytes == 0 ? kDefaultMemory : std::strtoull(bytes, nullptr, 10);
}

std::size_t rounded(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// The end of the allocation that `at` is in; null: it is in none.
const char* end_of_allocation(const void* at) {
  char* address = const_cast<char*>(static_cast<const char*>(at));
  auto after = allocations.upper_bound(address);
  if (after == allocations.begin()) return nullptr;
  --after;
  const char* end = after->first + after->second;
  return address < end ? end : nullptr;
}

bool on_device(const void* at) { return end_of_allocation(at) != nullptr; }
bool overruns(const void* at, std::size_t bytes) {
  const char* end = end_of_allocation(at);
  return end != nullptr && bytes > static_cast<std::size_t>(end - static_cast<const char*>(at));
}

// For calls that must not be made while a stream is captured (unless the thread or the capture is relaxed): the
// captures that they break are then invalid.
cudaError_t unsafe_call() {
  if (own_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  bool broken = false;
  for (Capture* c : captures) {
    const bool mine = c->thread == std::this_thread::get_id();
    if (c->mode == cudaStreamCaptureModeRelaxed) continue;
    if (!mine && (c->mode != cudaStreamCaptureModeGlobal || own_mode != cudaStreamCaptureModeGlobal)) continue;
    c->invalid = broken = true;
  }
  return broken ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

// The same for what the null stream does: it would wait for all blocking streams.
cudaError_t null_stream_call() {
  bool broken = false;
  for (Capture* c : captures)
    if (!(c->origin->flags & cudaStreamNonBlocking)) c->invalid = broken = true;
  return broken ? cudaErrorStreamCaptureImplicit : cudaSuccess;
}

bool known(cudaStream_t stream) { return stream == nullptr || streams.count(stream) != 0; }

void add_to_capture(cudaStream_t stream, Work work) {
  Capture& capture = *stream->capture;
  capture.work.push_back(std::move(work));
  ++stream->recorded;
  if (stream != capture.origin) capture.unjoined.insert(stream);
}

// Does the work, or records it if the stream is captured.
cudaError_t submit(cudaStream_t stream, Work work) {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!known(stream)) return cudaErrorInvalidResourceHandle;
    if (stream == nullptr) {
      if (const cudaError_t error = null_stream_call(); error != cudaSuccess) return error;
    } else if (stream->capture != nullptr) {
      if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
      add_to_capture(stream, std::move(work));
      return cudaSuccess;
    }
  }
  work();
  return cudaSuccess;
}

cudaError_t check_copy(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const std::lock_guard<std::mutex> lock(mutex);
  const bool to_device = kind == cudaMemcpyHostToDevice, from_device = kind == cudaMemcpyDeviceToHost;
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (bytes == 0) return cudaSuccess;
  if (to == nullptr || from == nullptr || overruns(to, bytes) || overruns(from, bytes)) return cudaErrorInvalidValue;
  if (to_device && (!on_device(to) || on_device(from))) return cudaErrorInvalidValue;
  if (from_device && (on_device(to) || !on_device(from))) return cudaErrorInvalidValue;
  return cudaSuccess;
}

cudaError_t check_set(const void* to, std::size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex);
  return bytes > 0 && (to == nullptr || overruns(to, bytes)) ? cudaErrorInvalidValue : cudaSuccess;
}

// For calls that wait for the device.
cudaError_t check_wait() {
  const std::lock_guard<std::mutex> lock(mutex);
  return unsafe_call();
}

cudaError_t check_wait(cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!known(stream)) return cudaErrorInvalidResourceHandle;
  if (stream == nullptr) return null_stream_call();
  if (stream->capture == nullptr) return cudaSuccess;
  stream->capture->invalid = true;
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t check_wait(cudaEvent_t event) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (events.count(event) == 0) return cudaErrorInvalidResourceHandle;
  if (event->capture == nullptr) return cudaSuccess;
  event->capture->invalid = true;
  return cudaErrorCapturedEvent;
}

}  // namespace

void emulated_cuda::launch(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream, Work kernel) {
  const auto fits = [](dim3 d, unsigned x, unsigned y, unsigned z) {
    return d.x >= 1 && d.x <= x && d.y >= 1 && d.y <= y && d.z >= 1 && d.z <= z;
  };
  cudaError_t error = cudaSuccess;
  if (!has_device())
    error = cudaErrorNoDevice;
  else if (!fits(grid, 0x7fffffff, 65535, 65535) || !fits(block, 1024, 1024, 64) ||
           block.x * block.y * block.z > kMostThreads)
    error = cudaErrorInvalidConfiguration;
  else if (shared_bytes > kMostShared)
    error = cudaErrorInvalidValue;
  else
    error = submit(stream, [=, kernel = std::move(kernel)] { run_grid(grid, block, shared_bytes, kernel); });
  if (error == cudaSuccess) return;
  const auto text = [](dim3 d) { return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z); };
  throw std::runtime_error("emulated CUDA: launch of grid " + text(grid) + ", block " + text(block) + ", " +
                           std::to_string(shared_bytes) + " bytes of shared memory: " + cudaGetErrorName(error) + ": " +
                           cudaGetErrorString(error));
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() { return last_error; }

// The device.

namespace {

cudaDeviceProp device_properties() {
  cudaDeviceProp p{};
  std::snprintf(p.name, sizeof p.name, "emulated");
  p.totalGlobalMem = memory_of_device();
  p.sharedMemPerBlock = 48 << 10;
  p.sharedMemPerBlockOptin = emulated_cuda::kMostShared;
  p.sharedMemPerMultiprocessor = 228 << 10;
  p.major = 8;
  p.multiProcessorCount = 4;
  p.maxThreadsPerBlock = emulated_cuda::kMostThreads;
  p.maxThreadsPerMultiProcessor = 2048;
  p.warpSize = 32;
  p.regsPerBlock = 65536;
  const int threads[] = {1024, 1024, 64}, blocks[] = {0x7fffffff, 65535, 65535};
  std::memcpy(p.maxThreadsDim, threads, sizeof threads);
  std::memcpy(p.maxGridSize, blocks, sizeof blocks);
  p.l2CacheSize = 50 << 20;
  p.memoryBusWidth = 5120;
  p.concurrentKernels = 1;
  return p;
}

cudaError_t check_device(int device) {
  if (!has_device()) return cudaErrorNoDevice;
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  *count = has_device() ? 1 : 0;
  return result(has_device() ? cudaSuccess : cudaErrorNoDevice);
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return result(check_device(0));
}
cudaError_t cudaSetDevice(int device) { return result(check_device(device)); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (const cudaError_t error = check_device(device); error != cudaSuccess) return result(error);
  *properties = device_properties();
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (const cudaError_t error = check_device(device); error != cudaSuccess) return result(error);
  const cudaDeviceProp p = device_properties();
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      break;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrL2CacheSize:
      *value = p.l2CacheSize;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = p.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(p.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      break;
    default:
      return result(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return result(check_wait()); }
cudaError_t cudaDriverGetVersion(int* version) {
  *version = has_device() ? CUDART_VERSION : 0;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (!has_device()) return result(cudaErrorNoDevice);
  const std::lock_guard<std::mutex> lock(mutex);
  *total = memory_of_device();
  *free = *total > allocated ? *total - allocated : 0;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (function == nullptr || value < 0) return result(cudaErrorInvalidValue);
  const bool too_much = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize &&
                        static_cast<std::size_t>(value) > emulated_cuda::kMostShared;
  return result(too_much ? cudaErrorInvalidValue : cudaSuccess);
}

// Memory.

namespace {

cudaError_t allocate(void** to, std::size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (const cudaError_t error = unsafe_call(); error != cudaSuccess) return error;
  if (bytes == 0) return cudaSuccess;
  const std::size_t total = memory_of_device();
  if (allocated > total || bytes > total - allocated || rounded(bytes) > total - allocated)
    return cudaErrorMemoryAllocation;
  // Not rounded, so that the address sanitizer knows where it ends.
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlign, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(memory, 0xff, bytes);
  allocations[static_cast<char*>(memory)] = bytes;
  allocated += rounded(bytes);
  *to = memory;
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaMalloc(void** to, std::size_t bytes) {
  if (to == nullptr) return result(cudaErrorInvalidValue);
  *to = nullptr;
  if (!has_device()) return result(cudaErrorNoDevice);
  return result(allocate(to, bytes));
}
cudaError_t cudaFree(void* memory) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (const cudaError_t error = unsafe_call(); error != cudaSuccess) return result(error);
  if (memory == nullptr) return cudaSuccess;
  const auto found = allocations.find(static_cast<char*>(memory));
  if (found == allocations.end()) return result(cudaErrorInvalidValue);
  allocated -= rounded(found->second);
  allocations.erase(found);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** to, std::size_t bytes, unsigned) {
  if (to == nullptr) return result(cudaErrorInvalidValue);
  *to = nullptr;
  if (!has_device()) return result(cudaErrorNoDevice);
  if (const cudaError_t error = check_wait(); error != cudaSuccess) return result(error);
  if (bytes == 0) return cudaSuccess;
  return result(posix_memalign(to, kAlign, bytes) == 0 ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaMallocHost(void** to, std::size_t bytes) { return cudaHostAlloc(to, bytes, cudaHostAllocDefault); }
cudaError_t cudaFreeHost(void* memory) {
  if (const cudaError_t error = check_wait(); error != cudaSuccess) return result(error);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  return result(memory == nullptr || bytes == 0 ? cudaErrorInvalidValue : cudaSuccess);
}
cudaError_t cudaHostUnregister(void* memory) { return result(memory == nullptr ? cudaErrorInvalidValue : cudaSuccess); }

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const cudaError_t error = check_copy(to, from, bytes, kind); error != cudaSuccess) return result(error);
  return result(submit(stream, [=] {
    if (bytes > 0) std::memmove(to, from, bytes);
  }));
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t error = check_wait(); error != cudaSuccess) return result(error);
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = check_set(to, bytes); error != cudaSuccess) return result(error);
  return result(submit(stream, [=] {
    if (bytes > 0) std::memset(to, value, bytes);
  }));
}
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  if (const cudaError_t error = check_wait(); error != cudaSuccess) return result(error);
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

// Streams and events.

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (stream == nullptr || flags > cudaStreamNonBlocking) return result(cudaErrorInvalidValue);
  if (!has_device()) return result(cudaErrorNoDevice);
  const std::lock_guard<std::mutex> lock(mutex);
  *stream = new CUstream_st(flags);
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (streams.erase(stream) == 0) return result(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) {
    stream->capture->invalid = true;
    captures.erase(stream->capture.get());
    for (cudaStream_t s : streams)
      if (s->capture == stream->capture) s->capture = nullptr;
  }
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return result(check_wait(stream)); }
cudaError_t cudaStreamQuery(cudaStream_t stream) { return result(check_wait(stream)); }
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  if (function == nullptr) return result(cudaErrorInvalidValue);
  return result(submit(stream, [=] { function(data); }));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (event == nullptr) return result(cudaErrorInvalidValue);
  if (!has_device()) return result(cudaErrorNoDevice);
  const std::lock_guard<std::mutex> lock(mutex);
  *event = new CUevent_st(flags);
  events.insert(*event);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (events.erase(event) == 0) return result(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}
// In a captured stream it only marks a place in the capture.
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!known(stream) || events.count(event) == 0) return result(cudaErrorInvalidResourceHandle);
  if (stream == nullptr) {
    if (const cudaError_t error = null_stream_call(); error != cudaSuccess) return result(error);
  } else if (stream->capture != nullptr && stream->capture->invalid) {
    return result(cudaErrorStreamCaptureInvalidated);
  }
  event->recorded = true;
  event->at = std::chrono::steady_clock::now();
  event->capture = stream == nullptr ? nullptr : stream->capture;
  event->stream = stream;
  event->after = stream == nullptr ? 0 : stream->recorded;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) { return result(check_wait(event)); }
cudaError_t cudaEventQuery(cudaEvent_t event) { return result(check_wait(event)); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (cudaEvent_t event : {start, end}) {
    if (events.count(event) == 0 || !event->recorded || (event->flags & cudaEventDisableTiming))
      return result(cudaErrorInvalidResourceHandle);
    if (event->capture != nullptr) return result(cudaErrorCapturedEvent);
  }
  *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
  return cudaSuccess;
}
// A stream that waits for an event of a capture is captured too.
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!known(stream) || events.count(event) == 0) return result(cudaErrorInvalidResourceHandle);
  const std::shared_ptr<Capture>& capture = event->capture;
  const bool captured = stream != nullptr && stream->capture != nullptr;
  if (capture == nullptr || captures.count(capture.get()) == 0) {
    if (!captured || !event->recorded) return cudaSuccess;
    stream->capture->invalid = true;
    return result(cudaErrorStreamCaptureIsolation);
  }
  if (stream == nullptr) {
    capture->invalid = true;
    return result(cudaErrorStreamCaptureImplicit);
  }
  if (captured && stream->capture != capture) {
    stream->capture->invalid = capture->invalid = true;
    return result(cudaErrorStreamCaptureMerge);
  }
  if (capture->invalid) return result(cudaErrorStreamCaptureInvalidated);
  if (!captured) {
    stream->capture = capture;
    stream->recorded = 0;
  }
  if (stream != event->stream) {
    if (event->stream->recorded == event->after) capture->unjoined.erase(event->stream);
    if (stream != capture->origin) capture->unjoined.insert(stream);
  }
  return cudaSuccess;
}

// Graphs.

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (stream == nullptr) return result(cudaErrorStreamCaptureUnsupported);
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return result(cudaErrorIllegalState);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  stream->recorded = 0;
  captures.insert(stream->capture.get());
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (graph == nullptr) return result(cudaErrorInvalidValue);
  *graph = nullptr;
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  if (stream == nullptr || stream->capture == nullptr) return result(cudaErrorIllegalState);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture->origin != stream) return result(cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id())
    return result(cudaErrorStreamCaptureWrongThread);
  captures.erase(capture.get());
  for (cudaStream_t s : streams)
    if (s->capture == capture) s->capture = nullptr;
  if (capture->invalid) return result(cudaErrorStreamCaptureInvalidated);
  if (!capture->unjoined.empty()) return result(cudaErrorStreamCaptureUnjoined);
  *graph = new CUgraph_st{std::move(capture->work)};
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!known(stream)) return result(cudaErrorInvalidResourceHandle);
  *status = stream == nullptr || stream->capture == nullptr ? cudaStreamCaptureStatusNone
            : stream->capture->invalid                      ? cudaStreamCaptureStatusInvalidated
                                                            : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(own_mode, *mode);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (exec == nullptr || graph == nullptr) return result(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiate(exec, graph, flags);
}
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t) {
  return result(exec == nullptr ? cudaErrorInvalidValue : cudaSuccess);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (exec == nullptr) return result(cudaErrorInvalidValue);
  return result(submit(stream, [work = exec->work] {
    for (const Work& w : work) w();
  }));
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  if (graph == nullptr) return result(cudaErrorInvalidValue);
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  if (exec == nullptr) return result(cudaErrorInvalidValue);
  delete exec;
  return cudaSuccess;
}
