#pragma once
#include <string>
#include <string_view>

#include "core/result.h"
#include "packs/folder.h"

namespace ccrules::packs {

enum class Compression : std::uint8_t { kGzip, kZstd };

/// The pack as a tar archive in the ustar format, names sorted, every owner, time and mode the same: the same files give the
/// same bytes. Error when a path or the whole is too large.
Result<std::string> write_archive(const Folder& folder, Compression compression = Compression::kGzip);

/// Reads a tar archive, plain or packed with gzip or zstd, that may come from anyone. Nothing is written. Refused with one
/// sentence: absolute paths and "..", links, devices, two files of one name, more or larger files than packs may have (also
/// when they unpack to that), and archives that are cut off or broken. Folders are passed over.
Result<Folder> read_archive(std::string_view bytes);

}  // namespace ccrules::packs
