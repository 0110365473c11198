#pragma once
#include "cli/command.h"

namespace ccrules::cli {

// What writers of packs use; install.h has the rest.
Exit pack_new(const Arguments& arguments, Io& io);
Exit pack_test(const Arguments& arguments, Io& io);
Exit pack_build(const Arguments& arguments, Io& io);
Exit pack_sign(const Arguments& arguments, Io& io);
Exit pack_verify(const Arguments& arguments, Io& io);
Exit pack_publish(const Arguments& arguments, Io& io);

}  // namespace ccrules::cli
