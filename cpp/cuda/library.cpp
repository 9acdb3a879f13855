#include "library.hpp"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>

namespace cnnfast::cuda {
namespace {

#ifdef CNNFAST_EMULATED_CUDA  // cpp/tests/emulated_cuda
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

std::mutex paths_lock;
std::vector<std::string> paths;

std::vector<std::string> library_paths() {
  const std::lock_guard<std::mutex> hold(paths_lock);
  return paths;
}

std::string file_of(void* handle) {
  link_map* map = nullptr;
  const bool known = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr && map->l_name[0] != '\0';
  return known ? map->l_name : "";
}

}  // namespace

void set_library_paths(std::vector<std::string> directories) {
  const std::lock_guard<std::mutex> hold(paths_lock);
  paths = std::move(directories);
}

Library::Library(const char* setting, const std::vector<std::string>& names) {
  if (kEmulated) {
    description_ = "not for an emulated device";
    return;
  }
  const char* wanted = std::getenv(setting);
  if (wanted != nullptr && std::string(wanted) == "off") {
    description_ = std::string("turned off by ") + setting;
    return;
  }
  std::string reasons;
  if (wanted != nullptr && *wanted != '\0') {
    if (!open(wanted, reasons)) description_ = std::string(setting) + ": " + reasons;
    return;
  }
  // The system's own first: it is also the one that is loaded already, if one is, and two of them in a process would
  // mix up the libraries that they load in turn.
  for (const std::string& name : names) {
    if (open(name, reasons)) return;
    for (const std::string& directory : library_paths()) {
      const std::string file = directory + "/" + name;
      if (access(file.c_str(), R_OK) == 0 && open(file, reasons)) return;
    }
  }
  description_ = "not found (" + reasons + "); " + setting + " may name the file";
}

bool Library::open(const std::string& file, std::string& reasons) {
  handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) {
    const char* why = dlerror();
    if (!reasons.empty()) reasons += "; ";
    reasons += why != nullptr ? why : file + ": cannot be loaded";
    return false;
  }
  description_ = file_of(handle_);
  if (description_.empty()) description_ = file;
  return true;
}

void* Library::symbol(const char* name) const { return loaded() ? dlsym(handle_, name) : nullptr; }

}  // namespace cnnfast::cuda
