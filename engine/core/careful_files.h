#pragma once
#include "core/world.h"

namespace ccrules {

/// The file system for folders that a client's bytes name, such as its working directory. read() takes plain files (links are
/// followed) of at most 256 KiB and never waits: a pipe, a terminal or a device in such a folder is an error. list() gives no
/// more than 2000 names. Safe on any thread.
const Files& careful_files();

}  // namespace ccrules
