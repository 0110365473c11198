#include "packs/archive.h"

#include <array>
#include <memory>

#include <archive.h>
#include <archive_entry.h>

#include "core/limits.h"

namespace ccrules::packs {
namespace {

constexpr std::size_t kBlockBytes = 64 * 1024;
// Entries that are no files (folders, empty names) are passed over, but not without end.
constexpr std::size_t kEntries = 2 * limits::kPackFiles;

struct FreeArchive {
  void operator()(archive* one) const noexcept { archive_free(one); }
};
using Archive = std::unique_ptr<archive, FreeArchive>;

struct FreeEntry {
  void operator()(archive_entry* entry) const noexcept { archive_entry_free(entry); }
};

Error broken(archive* one) {
  const char* why = archive_error_string(one);
  return bad_request(std::string("the archive cannot be read: ") + (why != nullptr ? why : "it is broken"));
}

la_ssize_t append(archive*, void* out, const void* bytes, std::size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

Result<void> check_entry(archive_entry* entry, std::string& path) {
  const char* name = archive_entry_pathname(entry);
  path = name != nullptr ? name : "";
  if (archive_entry_hardlink(entry) != nullptr || archive_entry_symlink(entry) != nullptr) {
    return bad_request("the archive holds a link ('" + path.substr(0, limits::kPackPathBytes) + "'); packs hold plain files only");
  }
  const auto type = archive_entry_filetype(entry);
  if (type != AE_IFREG && type != AE_IFDIR) {
    return bad_request("the archive holds a device or the like ('" + path.substr(0, limits::kPackPathBytes) +
                       "'); packs hold plain files only");
  }
  while (path.starts_with("./")) path.erase(0, 2);
  if (type == AE_IFDIR) {
    while (path.ends_with('/')) path.pop_back();
    if (path.empty() || path == ".") return {};
  }
  CCR_CHECK(check_path(path));
  if (archive_entry_size_is_set(entry) != 0 && archive_entry_size(entry) > static_cast<la_int64_t>(limits::kPackBytes)) {
    return bad_request("'" + path + "' in the archive is larger than " + std::to_string(limits::kPackBytes >> 20U) + " MiB");
  }
  return {};
}

/// `room`: bytes that all files together may still have.
Result<std::string> read_bytes(archive* one, std::size_t room) {
  std::string bytes;
  std::string block(kBlockBytes, '\0');
  for (;;) {
    const la_ssize_t got = archive_read_data(one, block.data(), block.size());
    if (got < 0) return broken(one);
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(got) > room) {
      return bad_request("the archive unpacks to more than " + std::to_string(limits::kPackBytes >> 20U) + " MiB");
    }
    bytes.append(block.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<std::string> write_archive(const Folder& folder, Compression compression) {
  const Archive writer(archive_write_new());
  if (writer == nullptr) return internal_error("no memory for an archive");
  archive* one = writer.get();
  std::string out;
  // Neither a time nor a name goes into the gzip header.
  const bool filtered = compression == Compression::kGzip
                            ? archive_write_add_filter_gzip(one) == ARCHIVE_OK &&
                                  archive_write_set_filter_option(one, "gzip", "timestamp", nullptr) == ARCHIVE_OK
                            : archive_write_add_filter_zstd(one) == ARCHIVE_OK;
  if (!filtered || archive_write_set_format_ustar(one) != ARCHIVE_OK || archive_write_set_bytes_in_last_block(one, 1) != ARCHIVE_OK ||
      archive_write_open(one, &out, nullptr, &append, nullptr) != ARCHIVE_OK) {
    return broken(one);
  }
  for (const auto& [path, bytes] : folder) {
    CCR_CHECK(check_path(path));
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    if (entry == nullptr) return internal_error("no memory for an archive");
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 0, 0);
    archive_entry_set_uid(entry.get(), 0);
    archive_entry_set_gid(entry.get(), 0);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
    if (archive_write_header(one, entry.get()) != ARCHIVE_OK ||
        archive_write_data(one, bytes.data(), bytes.size()) != static_cast<la_ssize_t>(bytes.size())) {
      return broken(one);
    }
  }
  if (archive_write_close(one) != ARCHIVE_OK) return broken(one);
  if (out.size() > limits::kPackArchiveBytes) {
    return bad_request("the archive is larger than " + std::to_string(limits::kPackArchiveBytes >> 20U) + " MiB");
  }
  return out;
}

Result<Folder> read_archive(std::string_view bytes) {
  if (bytes.size() > limits::kPackArchiveBytes) {
    return bad_request("the archive is larger than " + std::to_string(limits::kPackArchiveBytes >> 20U) + " MiB");
  }
  const Archive reader(archive_read_new());
  if (reader == nullptr) return internal_error("no memory for an archive");
  archive* one = reader.get();
  if (archive_read_support_format_tar(one) != ARCHIVE_OK || archive_read_support_filter_gzip(one) != ARCHIVE_OK ||
      archive_read_support_filter_zstd(one) != ARCHIVE_OK ||
      archive_read_open_memory(one, bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return bad_request("this is no pack: it is no tar archive (.tar.gz, .tar.zst)");
  }
  Folder folder;
  std::size_t room = limits::kPackBytes;
  for (std::size_t entries = 0;; ++entries) {
    if (entries > kEntries) return bad_request("the archive holds more than " + std::to_string(limits::kPackFiles) + " files");
    archive_entry* entry = nullptr;
    const int got = archive_read_next_header(one, &entry);
    if (got == ARCHIVE_EOF) break;
    if (got != ARCHIVE_OK) return broken(one);
    std::string path;
    CCR_CHECK(check_entry(entry, path));
    if (archive_entry_filetype(entry) == AE_IFDIR) continue;
    CCR_TRY(file, read_bytes(one, room));
    room -= file.size();
    CCR_CHECK(add_file(folder, path, std::move(file)));
  }
  CCR_CHECK(check_names(folder));
  if (folder.empty()) return bad_request("this is no pack: the archive is empty");
  return folder;
}

}  // namespace ccrules::packs
