#include <heed/autograd/source_location.h>

#include <dlfcn.h>
#include <elf.h>
#include <execinfo.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <heed/core/error.h>

namespace heed::detail {

namespace {

constexpr int kFrames = 48;
constexpr char kSeparator = '\n';  // between module path and addresses

// Programs linked at a fixed address locate code by absolute addresses, all others relative to
// their base.
bool is_fixed(const Dl_info& info) {
  const auto* header = static_cast<const Elf64_Ehdr*>(info.dli_fbase);
  return std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_type == ET_EXEC;
}

// The program itself is listed under the name it was started with, which need not be a valid path.
std::string file_of(const Dl_info& info) {
  if (std::strchr(info.dli_fname, '/') && access(info.dli_fname, R_OK) == 0) return info.dli_fname;
  char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : info.dli_fname;
}

std::string quoted(const std::string& path) {
  std::string out = "'";
  for (char c : path) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// "heed::Tensor heed::apply<heed::Exp>(heed::Exp)" -> "heed::apply<heed::Exp>": without return type
// and arguments.
std::string qualified_name(const std::string& function) {
  size_t begin = 0;
  int depth = 0;
  for (size_t i = 0; i < function.size(); ++i) {
    char c = function[i];
    if (c == '<') ++depth;
    else if (c == '>') --depth;
    else if (depth == 0 && c == ' ') begin = i + 1;
    else if (depth == 0 && c == '(' && function.compare(i, 11, "(anonymous ") != 0)
      return function.substr(begin, i - begin);
    else if (c == '(') i += 20;  // "(anonymous namespace)"
  }
  return function.substr(begin);
}

// If debug information names functions without their namespaces (-g1), the file decides.
bool is_heeds_file(const std::string& place) {
  if (place.find("/include/heed/") != std::string::npos) return true;
  const std::string self = __FILE__;  // ROOT/autograd/source_location.cpp
  const std::string root = self.substr(0, self.rfind("autograd/"));
  if (root.empty() || place.compare(0, root.size(), root) != 0) return false;
  for (const char* folder :
       {"autograd/", "backends/", "core/", "data/", "models/", "nn/", "train/"})
    if (place.compare(root.size(), std::strlen(folder), folder) == 0) return true;
  return false;
}

bool is_users(const std::string& function, const std::string& place) {
  if (is_heeds_file(place)) return false;
  if (place.empty() || place[0] == '?' || place.compare(0, 5, "/usr/") == 0) return false;
  if (place.compare(0, 2, "./") == 0) return false;  // the C library's own files
  if (place.size() > 2 && place.compare(place.size() - 2, 2, ":0") == 0) return false;
  return place.find(":?") == std::string::npos &&
         qualified_name(function).compare(0, 6, "heed::") != 0;
}

// "train.cpp:31 (discriminator 2)" -> "train.cpp:31"
std::string tidy(std::string place) {
  size_t extra = place.find(" (");
  return extra == std::string::npos ? place : place.substr(0, extra);
}

// Asks addr2line about consecutive frames of one module; returns the first in user code, or "".
std::string ask(const std::string& module, const std::string& addresses) {
  std::string command = "addr2line -a -f -C -i -e " + quoted(module) + addresses + " 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return "";
  std::vector<std::string> lines;
  char buffer[4096];
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    std::string line = buffer;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    lines.push_back(line);
  }
  pclose(pipe);
  for (size_t i = 0; i + 1 < lines.size();) {
    if (lines[i].compare(0, 2, "0x") == 0) {
      ++i;
      continue;
    }
    if (is_users(lines[i], lines[i + 1])) return tidy(lines[i + 1]);
    i += 2;
  }
  return "";
}

std::string resolve(const std::vector<void*>& frames) {
  std::string module, addresses;
  for (size_t i = 0; i <= frames.size(); ++i) {
    Dl_info info{};
    bool known = i < frames.size() && dladdr(frames[i], &info) && info.dli_fname && info.dli_fbase;
    std::string name = known ? file_of(info) : "";
    if (name != module) {
      if (!module.empty()) {
        std::string place = ask(module, addresses);
        if (!place.empty()) return place;
      }
      module = name;
      addresses.clear();
    }
    if (!known) continue;
    // The return address is that of the next instruction, perhaps of the next line.
    auto at = reinterpret_cast<uintptr_t>(frames[i]) - 1;
    if (!is_fixed(info)) at -= reinterpret_cast<uintptr_t>(info.dli_fbase);
    char text[32];
    std::snprintf(text, sizeof text, " 0x%llx", static_cast<unsigned long long>(at));
    addresses += text;
  }
  return "";
}

}  // namespace

std::string capture_location() {
  void* frames[kFrames];
  int count = backtrace(frames, kFrames);
  std::string out(1, kSeparator);
  for (int i = 1; i < count; ++i) {
    char text[32];
    std::snprintf(text, sizeof text, " %llx",
                  static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(frames[i])));
    out += text;
  }
  return out;
}

std::string resolve_location(const std::string& where) {
  size_t cut = where.find(kSeparator);
  std::string out, path = where.substr(0, cut);
  if (!path.empty()) out = "; module " + path;
  if (cut == std::string::npos) return out;
  std::vector<void*> frames;
  const char* p = where.c_str() + cut + 1;
  for (char* end = nullptr; *p; p = end) {
    unsigned long long address = std::strtoull(p, &end, 16);
    if (end == p) break;
    frames.push_back(reinterpret_cast<void*>(static_cast<uintptr_t>(address)));
  }
  std::string place = resolve(frames);
  return place.empty() ? out : out + "; at " + place;
}

}  // namespace heed::detail
