#include <cmath>
#include <string>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/talk.h"
#include "rules/json_tree.h"

namespace ccrules::cli {
namespace {

std::string text_of(const rules::Tree& row, std::string_view name) {
  const rules::Tree::Member* member = row.find(name);
  if (member == nullptr) return {};
  if (member->value.is(rules::Tree::Kind::kText)) return member->value.text;
  const double number = member->value.number;
  constexpr double kSteps = 10000;  // what is shown behind the point
  return rules::number_text(std::round(number * kSteps) / kSteps);
}

void print_stats(const rules::Tree& stats, Io& io) {
  io.out << "hits      " << text_of(stats, "hits") << ", misses " << text_of(stats, "misses") << ", rate " << text_of(stats, "hitRate")
         << "\n"
         << "answers   " << text_of(stats, "entries") << "\n"
         << "memory    " << text_of(stats, "size") << " of " << text_of(stats, "maxSize") << " MB\n"
         << "saved     $" << text_of(stats, "savedCost") << "\n"
         << "gone      " << text_of(stats, "evicted") << " made room for others, " << text_of(stats, "rejected")
         << " were not worth theirs\n";
}

void print_top(const rules::Tree& rows, Io& io) {
  if (rows.items.empty()) io.out << "no answer was given twice yet\n";
  for (const rules::Tree& row : rows.items) {
    io.out << text_of(row, "hash") << "  " << text_of(row, "hits") << " hits  $" << text_of(row, "savedCost") << "\n";
  }
}

/// Whether a proxy's cache has said this.
bool is_told(const std::string& what, const rules::Tree& told) {
  if (what == "top") return told.is(rules::Tree::Kind::kTable) && told.members.empty();
  return told.find(what == "clear" ? "cleared" : "hits") != nullptr;
}

Exit run_cache(const Arguments& arguments, Io& io) {
  const std::string what = arguments.words().empty() ? "stats" : arguments.words().front();
  if (what != "stats" && what != "clear" && what != "top")
    return usage_error(io, "cache does one of: stats, clear, top");
  const auto config = load_config(config_options(arguments, io), io);
  if (!config) return Exit::kUsage;
  Call call;
  call.path = what == "stats" ? "/api/cache/stats" : what == "clear" ? "/api/cache/clear" : "/api/cache/top-prompts";
  call.method = what == "clear" ? "POST" : "GET";
  call.changes = what == "clear";
  call.url = arguments.value("url");
  const Result<std::string> answer = talk(*config, call);
  if (!answer.ok()) {
    const bool refused = answer.error().code == ErrorCode::kUnauthorized;
    (void)usage_error(io, refused ? answer.error().message : "no proxy whose cache this could be: " + answer.error().message);
    return refused ? Exit::kAuth : Exit::kUnreachable;
  }
  const Result<rules::Tree> told = rules::read_json(*answer, rules::Spot{1, 1});
  if (!told.ok() || !is_told(what, *told)) {
    (void)usage_error(io, "no proxy whose cache this could be: something else answers there; see --url");
    return Exit::kUnreachable;
  }
  if (arguments.json()) {
    io.out << *answer << "\n";
    return Exit::kOk;
  }
  if (what == "stats") print_stats(*told, io);
  if (what == "top") print_top(*told, io);
  if (what == "clear") io.out << text_of(*told, "cleared") << " answers forgotten, " << text_of(*told, "freedMemory") << " freed\n";
  return Exit::kOk;
}

}  // namespace

Command cache_command() {
  Command command;
  command.name = "cache";
  command.summary = "What the running proxy's response cache holds, and emptying it";
  command.about =
      "Asks the running proxy: `stats` (the default) says how often the cache answered and what that saved, `top` lists the\n"
      "answers of most use by the hash of their question, `clear` forgets all of them. Exit code 5: no proxy runs.";
  command.arguments = "[stats|clear|top]";
  command.words = {"stats", "clear", "top"};
  command.most = 1;
  command.flags = {{"url", "URL", "where the proxy is, instead of where the configuration says", {}}};
  command.examples = {{"ccrules cache", "hits, misses and savings"}, {"ccrules cache clear", "after the world has changed"}};
  command.run = &run_cache;
  return command;
}

}  // namespace ccrules::cli
