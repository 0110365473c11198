#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "cli/write_file.h"
#include "core/json.h"
#include "rules/api.h"
#include "rules/editor_files.h"

namespace ccrules::cli {
namespace {

namespace api = rules::api;

const char* phase_name(api::Phase phase) {
  switch (phase) {
    case api::Phase::kAlways: return "always";
    case api::Phase::kAttempt: return "on error, on response";
    case api::Phase::kError: return "on error";
    case api::Phase::kResponse: return "on response";
  }
  return "";
}

bool fits(const char* name, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (std::string_view(name).find(word) == std::string_view::npos) return false;
  }
  return true;
}

void print_section(Io& io, const Paint& paint, const char* title, const char* about, const Table& table, bool& any) {
  if (table.empty()) return;
  io.out << (any ? "\n" : "") << paint.bold(title) << paint.dim(about) << "\n";
  table.print(io.out, "  ");
  any = true;
}

void print_tables(Io& io, const std::vector<std::string>& words) {
  const Paint paint = paint_for_out(io);
  const std::vector<Table::Align> columns(5, Table::Align::kLeft);
  Table facts(columns);
  for (const api::FactRow& row : api::facts()) {
    if (!fits(row.name, words)) continue;
    facts.row({paint.cyan(row.name), row.type, paint.dim(phase_name(row.phase)), paint.yellow(api::need_name(row.need)),
               api::doc_text(row)});
  }
  Table effects({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  for (const api::EffectRow& row : api::effects()) {
    if (fits(row.name, words)) effects.row({paint.cyan(row.name), row.type, row.doc});
  }
  Table fields({Table::Align::kLeft, Table::Align::kLeft});
  for (const api::FieldRow& row : api::fields()) {
    if (fits(row.name, words)) fields.row({paint.cyan(row.name), api::doc_text(row)});
  }
  bool any = false;
  print_section(io, paint, "facts", "  conditions ask them, functions read req.NAME", facts, any);
  print_section(io, paint, "effects", "", effects, any);
  print_section(io, paint, "members of set", "", fields, any);
  if (!any) io.err << "no fact, effect or member of set has that in its name; `ccrules facts` lists them all\n";
}

void write_words(json::Writer& writer, const api::Values* values) {
  if (values == nullptr || values->words.empty()) return;
  writer.key("words").begin_array();
  for (const char* word : values->words) writer.string(word);
  writer.end_array().member("more_words", values->more);
}

void print_json(std::ostream& out) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object().member("schema", "ccrules.facts/1").key("facts").begin_array();
  for (const api::FactRow& row : api::facts()) {
    writer.begin_object()
        .member("name", row.name)
        .member("type", row.type)
        .member("when", phase_name(row.phase))
        .member("needs", api::need_name(row.need))
        .member("doc", row.doc);
    write_words(writer, row.values);
    writer.end_object();
  }
  writer.end_array().key("effects").begin_array();
  for (const api::EffectRow& row : api::effects()) {
    writer.begin_object().member("name", row.name).member("type", row.type).member("doc", row.doc).end_object();
  }
  writer.end_array().key("set").begin_array();
  for (const api::FieldRow& row : api::fields()) {
    writer.begin_object().member("name", row.name).member("doc", row.doc);
    write_words(writer, row.values);
    writer.end_object();
  }
  writer.end_array().end_object();
  out << text << "\n";
}

Exit write_all(Io& io, const std::vector<std::pair<std::string, std::string>>& files) {
  for (const auto& [path, text] : files) {
    const Result<void> written = write_file(path, text);
    if (!written.ok()) return usage_error(io, written.error().message);
    io.err << "written: " << shown_path(io, path) << "\n";
  }
  return Exit::kOk;
}

// A folder's own settings are the user's: they are not replaced.
Exit write_editor_files(Io& io) {
  const std::string& here = io.working_directory;
  std::vector<std::pair<std::string, std::string>> files = {{here + "/.ccrules/types/ccrules.lua", rules::lua_annotations()}};
  if (io.files.exists(here + "/.luarc.json")) {
    io.err << ".luarc.json exists: add \".ccrules/types\" to its \"workspace.library\"\n";
  } else {
    files.emplace_back(here + "/.luarc.json", rules::luarc(".ccrules/types"));
  }
  return write_all(io, files);
}

Exit run_facts(const Arguments& arguments, Io& io) {
  if (arguments.has("editor")) return write_editor_files(io);
  if (arguments.has("write")) {
    std::vector<std::pair<std::string, std::string>> files;
    for (const rules::GeneratedFile& file : rules::generated_files()) {
      files.emplace_back(arguments.value("write") + "/" + file.path, file.text);
    }
    return write_all(io, files);
  }
  if (arguments.json()) {
    print_json(io.out);
  } else {
    print_tables(io, arguments.words());
  }
  return Exit::kOk;
}

}  // namespace

Command facts_command() {
  Command command;
  command.name = "facts";
  command.summary = "What rules can ask and do";
  command.arguments = "[WORD...]";
  command.about =
      "Lists every fact, effect and member of `set` with its type and meaning; with words, those whose names hold them.\n"
      "--editor makes the Lua language server know them in this folder. --write is for ccrules' own source folder: annotations,\n"
      "JSON Schemas and docs/rules-api.md are made from the same table.";
  command.flags = {{"editor", "", "write .luarc.json and annotations for your editor into this folder", {}},
                   {"write", "FOLDER", "write the project's generated files below FOLDER", {}}};
  command.examples = {{"ccrules facts", "all of them"},
                      {"ccrules facts time", "those about time"},
                      {"ccrules facts --editor", "completion and help in your editor"}};
  command.most = 10;
  command.run = &run_facts;
  return command;
}

}  // namespace ccrules::cli
