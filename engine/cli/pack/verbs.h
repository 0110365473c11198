#pragma once
#include "cli/command.h"

/// What is behind `ccrules pack NAME` for whoever uses packs; author.h has the other half.
namespace ccrules::cli {

Exit pack_install(const Arguments& arguments, Io& io);
Exit pack_update(const Arguments& arguments, Io& io);
Exit pack_remove(const Arguments& arguments, Io& io);
Exit pack_list(const Arguments& arguments, Io& io);
Exit pack_diff(const Arguments& arguments, Io& io);
Exit pack_search(const Arguments& arguments, Io& io);

}  // namespace ccrules::cli
