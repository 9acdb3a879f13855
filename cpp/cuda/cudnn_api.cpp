#include "cudnn_api.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "library.hpp"

namespace cnnfast::cuda::cudnn {
namespace {

constexpr std::size_t kOldestVersion = 90000;

// 9.1.2 is 90102; before 9, 8.9.7 was 8907.
std::string version_text(std::size_t version) {
  const std::size_t unit = version < kOldestVersion ? 1000 : 10000;
  return std::to_string(version / unit) + "." + std::to_string(version % unit / 100) + "." +
         std::to_string(version % 100);
}

class LoadedApi {
 public:
  LoadedApi() : library_("CNNFAST_CUDNN", {"libcudnn.so.9"}), description_(library_.description()) {
    if (!library_.loaded()) return;
    std::size_t (*version)() = nullptr;
    bool complete = library_.find("cudnnGetVersion", version);
    complete = complete && library_.find("cudnnGetErrorString", api_.error_string);
    complete = complete && library_.find("cudnnCreate", api_.create);
    complete = complete && library_.find("cudnnSetStream", api_.set_stream);
    complete = complete && library_.find("cudnnBackendCreateDescriptor", api_.create_descriptor);
    complete = complete && library_.find("cudnnBackendDestroyDescriptor", api_.destroy_descriptor);
    complete = complete && library_.find("cudnnBackendFinalize", api_.finalize);
    complete = complete && library_.find("cudnnBackendSetAttribute", api_.set_attribute);
    complete = complete && library_.find("cudnnBackendGetAttribute", api_.get_attribute);
    complete = complete && library_.find("cudnnBackendExecute", api_.execute);
    api_.version = version != nullptr ? version() : 0;
    if (version != nullptr) description_ = version_text(api_.version) + " from " + library_.description();
    if (version != nullptr && api_.version < kOldestVersion)
      description_ += ": older than 9.0";
    else if (!complete || !library_.find("cudnnGetLastErrorString", api_.last_error_string))
      description_ += ": lacks functions of cuDNN 9";
    else
      usable_ = true;
  }
  const Api* api() const { return usable_ ? &api_ : nullptr; }
  const std::string& description() const { return description_; }

 private:
  Library library_;
  std::string description_;
  Api api_{};
  bool usable_ = false;
};

const LoadedApi& loaded_api() {
  static const LoadedApi loaded;
  return loaded;
}

void create_handles(DeviceHandles& made) {
  try {
    require(api()->create(&made.running), "cudnnCreate");
    require(api()->create(&made.choosing), "cudnnCreate");
  } catch (const Error& error) {
    made.failure = error.what();
  }
}

std::mutex handles_lock;
// Never destroyed: when the process ends, the driver may be gone before.
std::map<int, std::unique_ptr<DeviceHandles>>& handles_of_devices() {
  static auto& made = *new std::map<int, std::unique_ptr<DeviceHandles>>;
  return made;
}

}  // namespace

const Api* api() { return loaded_api().api(); }
std::string api_description() { return loaded_api().description(); }

void require(int status, const char* call) {
  if (status == 0) return;
  std::string message = std::string(call) + ": " + api()->error_string(status);
  char detail[1024] = "";
  api()->last_error_string(detail, sizeof detail);
  if (detail[0] != '\0') message += std::string(" (") + detail + ")";
  throw Error(message);
}

DeviceHandles& handles(int device) {
  const std::lock_guard<std::mutex> hold(handles_lock);
  std::unique_ptr<DeviceHandles>& place = handles_of_devices()[device];
  if (place == nullptr) {
    place = std::make_unique<DeviceHandles>();
    create_handles(*place);
  }
  return *place;
}

std::string handle_failures() {
  const std::lock_guard<std::mutex> hold(handles_lock);
  std::string text;
  for (const auto& [device, made] : handles_of_devices())
    if (!made->failure.empty())
      text += (text.empty() ? "cuda:" : ", cuda:") + std::to_string(device) + ": " + made->failure;
  return text;
}

Descriptor::Descriptor(Kind kind) {
  require(api()->create_descriptor(static_cast<int>(kind), &object_), "cudnnBackendCreateDescriptor");
}

Descriptor::~Descriptor() {
  if (object_ != nullptr) api()->destroy_descriptor(object_);
}

Descriptor& Descriptor::set(Attribute name, int type, std::int64_t count, const void* values) {
  require(api()->set_attribute(object_, static_cast<int>(name), type, count, values), "cudnnBackendSetAttribute");
  return *this;
}

Descriptor& Descriptor::finalize() {
  require(api()->finalize(object_), "cudnnBackendFinalize");
  return *this;
}

std::int64_t Descriptor::get(Attribute name, int type, std::int64_t room, void* values) const {
  std::int64_t count = 0;
  require(api()->get_attribute(object_, static_cast<int>(name), type, room, &count, values),
          "cudnnBackendGetAttribute");
  return std::min(count, room);
}

std::vector<Descriptor> Descriptor::get_descriptors(Attribute name, Kind kind, std::int64_t most) const {
  std::vector<Descriptor> descriptors;
  std::vector<Object> objects;
  for (std::int64_t i = 0; i < most; ++i) objects.push_back(descriptors.emplace_back(kind).object());
  const std::int64_t count = get(name, kDescriptorType, most, objects.data());
  descriptors.erase(descriptors.begin() + count, descriptors.end());
  return descriptors;
}

}  // namespace cnnfast::cuda::cudnn
