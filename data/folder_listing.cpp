#include <heed/data/folder_listing.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include <heed/core/error.h>
#include <heed/data/picture_file.h>
#include <heed/data/utf8.h>

namespace heed::data {

namespace {
namespace fs = std::filesystem;

struct Entry {
  std::string name, path;
  fs::file_type type;
  bool is_folder() const { return type == fs::file_type::directory; }
};

// By name, without the hidden ones; links are followed.
std::vector<Entry> visible_entries(const std::string& directory) {
  std::error_code error;
  std::vector<Entry> entries;
  fs::directory_iterator next(directory, error);
  for (; !error && next != fs::directory_iterator(); next.increment(error)) {
    std::string name = next->path().filename().string(), path = next->path().string();
    if (name.starts_with('.')) continue;
    std::error_code no_status, ignored;
    fs::file_type type = fs::status(path, no_status).type();
    if (type == fs::file_type::not_found)
      throw IoError(str(path, ": a broken symbolic link: ",
                        fs::read_symlink(path, ignored).string(), " does not exist"));
    if (no_status) throw IoError(str(path, ": cannot be examined: ", no_status.message()));
    entries.push_back({std::move(name), std::move(path), type});
  }
  if (error) throw IoError(str(directory, ": cannot be listed: ", error.message()));
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

std::vector<Entry> folders_of(const std::vector<Entry>& entries) {
  std::vector<Entry> folders;
  for (auto& entry : entries)
    if (entry.is_folder()) folders.push_back(entry);
  return folders;
}

// Counted, and the first one named.
struct Skipped {
  int64_t count = 0;
  std::string first;
  void add(const std::string& path) {
    if (count++ == 0) first = path;
  }
};

class Lister {
 public:
  explicit Lister(const std::string& directory) : directory_(directory) {}

  FolderListing list() {
    std::error_code ignored;
    if (!fs::is_directory(directory_, ignored))
      throw IoError(str(directory_, ": not a directory, a folder of class folders expected"));
    auto entries = visible_entries(directory_);
    auto folders = folders_of(entries);
    skip_files(entries);
    if (folders.empty())
      throw IoError(
          str(directory_, ": no class folders here; CLASS/*.png or train/CLASS/*.png expected"));
    std::vector<Entry> train, validation, test;  // class folders
    if (!find_parts(folders, train, validation, test)) train = folders;
    name_classes(train, validation, test);
    add_pictures(train, out_.train);
    add_pictures(validation, out_.validation);
    add_pictures(test, out_.test);
    if (train.size() == 1)
      throw IoError(str(train[0].path, ": the only class folder; at least two classes expected"));
    note(loose_, "outside the class folders", "file", "files");
    note(files_, "not named .png, .jpg or .jpeg", "file", "files");
    note(nested_, "inside a class folder", "folder", "folders");
    return std::move(out_);
  }

 private:
  // Parts by their names; they count as such once one of them holds folders, else they are classes
  // that happen to be called so.
  bool find_parts(const std::vector<Entry>& folders, std::vector<Entry>& train,
                  std::vector<Entry>& validation, std::vector<Entry>& test) {
    struct Part {
      std::vector<std::string> names;
      std::vector<Entry>& classes;
      std::vector<Entry> folders;
    };
    Part parts[] = {{{"train"}, train, {}},
                    {{"val", "valid", "validation"}, validation, {}},
                    {{"test"}, test, {}}};
    std::vector<Entry> others, inside;
    for (auto& folder : folders) {
      auto* part = std::find_if(std::begin(parts), std::end(parts), [&](const Part& p) {
        return std::find(p.names.begin(), p.names.end(), folder.name) != p.names.end();
      });
      (part == std::end(parts) ? others : part->folders).push_back(folder);
    }
    for (auto& part : parts)
      for (auto& folder : part.folders) {
        auto entries = visible_entries(folder.path);
        part.classes = folders_of(entries);
        inside.insert(inside.end(), entries.begin(), entries.end());
      }
    if (folders_of(inside).empty() && !others.empty()) return false;

    for (auto& part : parts) {
      if (part.folders.size() > 1)
        throw IoError(str(part.folders[1].path, ": this is the same part as ", part.folders[0].path,
                          "; only one of the two expected"));
      if (!part.folders.empty() && part.classes.empty())
        throw IoError(str(part.folders[0].path, ": no class folders here; ", part.folders[0].path,
                          "/CLASS/*.png expected"));
    }
    for (auto& other : others)
      out_.notes.push_back(
          str(other.path, " skipped: not called train, val, valid, validation or test"));
    skip_files(inside);
    return true;
  }

  // Training decides; without it, all that is there.
  void name_classes(const std::vector<Entry>& train, const std::vector<Entry>& validation,
                    const std::vector<Entry>& test) {
    std::set<std::string> names;
    for (auto* classes : {&train, &validation, &test})
      for (auto& folder : *classes) {
        if (utf8_error(folder.name) != std::string_view::npos)
          throw IoError(str(folder.path, ": the name of a class must be valid UTF-8"));
        if (classes == &train || train.empty()) names.insert(folder.name);
        else if (!names.contains(folder.name))
          throw IoError(str(folder.path, ": class \"", folder.name,
                            "\" has no training pictures: a folder of that name expected beside ",
                            train[0].path));
      }
    out_.class_names.assign(names.begin(), names.end());
  }

  void add_pictures(const std::vector<Entry>& classes, FolderPart& part) {
    for (auto& folder : classes) {
      size_t before = part.paths.size();
      auto place = std::lower_bound(out_.class_names.begin(), out_.class_names.end(), folder.name);
      for (auto& entry : visible_entries(folder.path)) {
        if (entry.is_folder()) {
          nested_.add(entry.path);
        } else if (!is_picture_name(entry.name)) {
          files_.add(entry.path);
        } else if (entry.type != fs::file_type::regular) {
          throw IoError(str(entry.path, ": neither a file nor a folder, a picture expected"));
        } else {
          part.paths.push_back(entry.path);
          part.labels.push_back(place - out_.class_names.begin());
        }
      }
      if (part.paths.size() == before)
        throw IoError(str(folder.path,
                          ": no picture in this class folder; files named .png, .jpg "
                          "or .jpeg expected"));
    }
  }

  void skip_files(const std::vector<Entry>& entries) {
    for (auto& entry : entries)
      if (!entry.is_folder()) loose_.add(entry.path);
  }

  void note(const Skipped& skipped, const char* why, const char* one, const char* several) {
    if (skipped.count > 0)
      out_.notes.push_back(str(skipped.count, " ", skipped.count == 1 ? one : several, " skipped, ",
                               why, " (", skipped.count == 1 ? "" : "the first: ", skipped.first,
                               ")"));
  }

  const std::string& directory_;
  FolderListing out_;
  Skipped loose_, files_, nested_;
};
}  // namespace

FolderListing list_image_folder(const std::string& directory) { return Lister(directory).list(); }

}  // namespace heed::data
