#include <optional>
#include <sstream>
#include <string>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "config/interpolate.h"
#include "core/json.h"
#include "core/text.h"
#include "dialect/countable.h"
#include "tokens/prompt.h"
#include "tokens/tokenizer.h"

namespace ccrules::cli {
namespace {

std::string place_of(const tokens::Part& part) {
  const std::string block = "[" + std::to_string(part.block) + "]";
  if (part.message >= 0) return "messages[" + std::to_string(part.message) + "]" + block;
  if (part.kind == tokens::PartKind::kSchema) return "output schema";
  return (part.kind == tokens::PartKind::kTool ? "tools" : "system") + block;
}

std::string sum_text(std::int64_t tokens, tokens::Grade grade, std::int64_t p95) {
  std::string text = with_commas(tokens) + " tokens, " + std::string(tokens::grade_name(grade));
  if (p95 > 0) text += " ± " + with_commas(p95);
  return text;
}

void print_prompt(Io& io, const tokens::Prompt& prompt, bool json) {
  if (json) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.tokens/1");
    writer.member("tokens", prompt.tokens)
        .member("grade", tokens::grade_name(prompt.grade))
        .member("p95", prompt.p95);
    writer.member("tokenizer", prompt.family->name).member("frame_tokens", prompt.frame_tokens);
    writer.member("dropped_thinking_tokens", prompt.dropped_thinking_tokens);
    writer.key("blocks").begin_array();
    for (const tokens::Part& part : prompt.parts) {
      writer.begin_object().member("place", place_of(part)).member("kind", tokens::part_kind_name(part.kind));
      writer.member("tokens", part.tokens).member("bytes", part.bytes).end_object();
    }
    writer.end_array().end_object();
    io.out << text << "\n";
    return;
  }
  const Paint paint = paint_for_out(io);
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kRight, Table::Align::kRight});
  table.row({paint.bold("block"), paint.bold("kind"), paint.bold("bytes"), paint.bold("tokens")});
  for (const tokens::Part& part : prompt.parts) {
    table.row({place_of(part), std::string(tokens::part_kind_name(part.kind)), with_commas(part.bytes),
               with_commas(part.tokens)});
  }
  table.row({"", "frames", "", with_commas(prompt.frame_tokens)});
  table.print(io.out);
  io.out << "\n"
         << paint.bold(sum_text(prompt.tokens, prompt.grade, prompt.p95))
         << paint.dim(" (" + std::string(prompt.family->name) + ")") << "\n";
}

/// Text that is no request: counted as it stands.
void print_text(Io& io, std::string_view content, std::string_view model, bool json) {
  const tokens::Family& family = tokens::family_of(model);
  const std::int64_t tokens = tokens::count_plain(content, model);
  const tokens::Grade grade = family.exact ? tokens::Grade::kExact : tokens::Grade::kEstimated;
  if (json) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.tokens/1");
    writer.member("tokens", tokens)
        .member("grade", tokens::grade_name(grade))
        .member("tokenizer", family.name)
        .end_object();
    io.out << text << "\n";
    return;
  }
  io.out << sum_text(tokens, grade, 0) << " (" << family.name << ")\n";
}

/// A request taken apart, whatever its dialect; nothing when it is no request.
std::optional<tokens::Prompt> read_request(const std::string& content, std::string model) {
  if (!text::trim(content).starts_with('{')) return std::nullopt;
  auto prompt = tokens::read_prompt(content, model);
  if (prompt.ok() && !prompt->messages.empty()) return *std::move(prompt);
  const dialect::Dialect* spoken = nullptr;
  auto document = json::Document::open(content);
  if (!document.ok()) return std::nullopt;
  auto root = document->root_object();
  while (root.ok() && root->next()) {
    if (root->key() == "contents") spoken = &dialect::gemini_dialect();
    if (root->key() == "input") spoken = &dialect::openai_responses();
    if (root->key() != "model" || !model.empty() || !root->value().is(json::Type::kString)) continue;
    if (auto named = root->value().string()) model = *named;
  }
  if (spoken == nullptr) return std::nullopt;
  if (model.empty() && spoken->model_in_path()) model = "gemini";  // its requests name the model in their path
  const auto countable = dialect::countable_body(*spoken, content, model);
  if (!countable.ok()) return std::nullopt;
  prompt = tokens::read_prompt(*countable, model);
  if (!prompt.ok() || prompt->messages.empty()) return std::nullopt;
  return *std::move(prompt);
}

Exit run_tokens(const Arguments& arguments, Io& io) {
  const std::string& path = arguments.words().front();
  std::string content;
  if (path == "-") {
    std::ostringstream text;
    text << io.in.rdbuf();
    content = std::move(text).str();
  } else {
    Result<std::string> read =
        io.files.read(config::resolve_path(path, io.working_directory, io.environment));
    if (!read.ok()) return usage_error(io, read.error().message);
    content = *std::move(read);
  }
  const std::string model = arguments.value("model");
  if (const auto prompt = read_request(content, model)) {
    print_prompt(io, *prompt, arguments.json());
    return Exit::kOk;
  }
  print_text(io, content, model, arguments.json());
  return Exit::kOk;
}

}  // namespace

Command tokens_command() {
  Command command;
  command.name = "tokens";
  command.summary = "How many tokens a request or a text has, block by block";
  command.arguments = "FILE|-";
  command.about =
      "Counts the body of a request of any dialect block by block, with the tokenizer and the rules of its\n"
      "model: exact where the tokenizer is published, else an estimate with its error. Any other file is "
      "counted as one\n"
      "text.";
  command.flags = {{"model", "MODEL", "count as this model would, whatever the request names", {}}};
  command.examples = {{"ccrules tokens request.json", "what each block of a request weighs"},
                      {"ccrules tokens --model gpt-5.5 - < README.md", "a text, exactly"}};
  command.least = 1;
  command.most = 1;
  command.run = &run_tokens;
  return command;
}

}  // namespace ccrules::cli
