// NVIDIA's libraries, loaded when they are first asked for: nothing of them is needed to build or to import.
#pragma once
#include <string>
#include <vector>

namespace cnnfast::cuda {

// Directories where the libraries may lie besides where the system looks, as those of Python packages; to be given
// before a library is first used.
void set_library_paths(std::vector<std::string> directories);

// A shared library that may be there. It stays loaded until the process ends.
class Library {
 public:
  // `setting` names an environment variable: a file to load instead of all others, or "off". `names` are tried in
  // turn, each where the system looks and then in the directories of set_library_paths.
  Library(const char* setting, const std::vector<std::string>& names);

  bool loaded() const { return handle_ != nullptr; }
  // The file it came from, or why there is none.
  const std::string& description() const { return description_; }

  // Sets `function` to the library's function of that name; false: it has none.
  template <class F>
  bool find(const char* name, F*& function) const {
    function = reinterpret_cast<F*>(symbol(name));
    return function != nullptr;
  }

 private:
  void* symbol(const char* name) const;
  bool open(const std::string& file, std::string& reasons);

  void* handle_ = nullptr;
  std::string description_;
};

}  // namespace cnnfast::cuda
