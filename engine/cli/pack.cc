#include <algorithm>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/pack/author.h"
#include "cli/pack/verbs.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

/// `ccrules pack NAME`: what it takes is checked against this row.
struct Verb {
  const char* name;
  const char* arguments;
  std::size_t least;  ///< arguments behind the verb
  std::size_t most;
  std::vector<std::string> flags;
  Exit (*run)(const Arguments&, Io&);
};

const std::vector<Verb>& verbs() {
  constexpr std::size_t kAny = 1000;
  static const std::vector<Verb> table = {
      {"new", "NAME", 1, 1, {"kind"}, &pack_new},
      {"test", "[DIR]", 0, 1, {}, &pack_test},
      {"build", "[DIR]", 0, 1, {"out", "format"}, &pack_build},
      {"sign", "[DIR]", 0, 1, {"key"}, &pack_sign},
      {"verify", "SOURCE", 1, 1, {"key", "index"}, &pack_verify},
      {"install", "SOURCE...", 1, kAny, {"yes", "grant", "model", "set", "key", "index", "dry-run"}, &pack_install},
      {"update", "[NAME...]", 0, kAny, {"yes", "grant", "model", "set", "key", "index", "dry-run"}, &pack_update},
      {"remove", "NAME...", 1, kAny, {}, &pack_remove},
      {"list", "", 0, 0, {}, &pack_list},
      {"diff", "NAME|SOURCE [SOURCE]", 1, 2, {"index"}, &pack_diff},
      {"publish", "DIR|ARCHIVE", 1, 1, {"index"}, &pack_publish},
      {"search", "[WORD...]", 0, kAny, {"index"}, &pack_search},
  };
  return table;
}

Exit run_pack(const Arguments& arguments, Io& io) {
  const std::string& name = arguments.words().front();
  const auto verb = std::find_if(verbs().begin(), verbs().end(), [&name](const Verb& one) { return name == one.name; });
  if (verb == verbs().end()) {
    std::vector<std::string> names;
    for (const Verb& one : verbs()) names.emplace_back(one.name);
    const std::string near = text::did_you_mean(name, names);
    return usage_error(io, "'pack' has no '" + name + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  const std::size_t count = arguments.words().size() - 1;
  if (count < verb->least) return usage_error(io, "'pack " + name + "' needs " + verb->arguments);
  if (count > verb->most) return usage_error(io, "'pack " + name + "' does not take '" + arguments.words()[verb->most + 1] + "'");
  for (const char* flag : {"kind", "out", "format", "key", "index", "yes", "grant", "model", "set", "dry-run"}) {
    if (!arguments.has(flag) || std::find(verb->flags.begin(), verb->flags.end(), flag) != verb->flags.end()) continue;
    return usage_error(io, "'pack " + name + "' has no flag --" + flag);
  }
  return verb->run(arguments, io);
}

}  // namespace

Command pack_command() {
  Command command;
  command.name = "pack";
  command.summary = "Write, share and install packs of rules";
  command.arguments = "new|test|build|sign|verify|install|update|list|remove|diff|publish|search [ARGUMENTS]";
  command.about =
      "Writing: `new NAME` makes a pack, `test [DIR]` runs its tests with nothing of this machine, `build [DIR]` makes the\n"
      "archive (the same files give the same bytes), `sign [DIR] --key key.pem` signs it, `publish DIR --index index.json`\n"
      "adds it to an index.\n"
      "Using: `install SOURCE` shows what a pack needs, the rules it adds, what they stand above and its tests' result, asks,\n"
      "and pins it in rules.lock beside the configuration; `update [NAME]`, `remove NAME`, `list`, `diff NAME [SOURCE]` (the\n"
      "rules that differ), `verify SOURCE`, `search [WORD]`.\n"
      "A SOURCE is a folder, an archive, https://..., git+https://REPOSITORY[#REF[:FOLDER]] (or git+ssh, git+file), or a name\n"
      "in an index: NAME[@RANGE]. On any failure nothing has changed.";
  command.flags = {{"yes", "", "install and update: do not ask", {}},
                   {"grant", "LIST", "what the pack may read: text, headers, spend, or none", {}},
                   {"model", "ALIAS=TARGET", "what an alias of the pack stands for; may be given again", {}},
                   {"set", "NAME=VALUE", "a setting of the pack (lists: with commas); may be given again", {}},
                   {"key", "FILE", "sign: the private key; verify, install: the public key it must be signed with (PEM)", {}},
                   {"index", "PLACE", "index of packs: a file, https://... or git+...; else $CCRULES_PACK_INDEX", {}},
                   {"dry-run", "", "install and update: show everything, write nothing", {}},
                   {"kind", "KIND", "new: what is written", {"lua", "data"}},
                   {"out", "FILE", "build: the archive", {}},
                   {"format", "NAME", "build: how the archive is packed", {"gzip", "zstd"}}};
  command.examples = {{"ccrules pack new acme/team-cost", "a pack with a rule and its test"},
                      {"ccrules pack install ./team-cost --model cheap=ollama,qwen3-coder", "from a folder"},
                      {"ccrules pack diff acme/team-cost", "what an update would change"}};
  for (const Verb& verb : verbs()) command.words.emplace_back(verb.name);
  command.least = 1;
  command.most = 1000;
  command.run = &run_pack;
  return command;
}

}  // namespace ccrules::cli
