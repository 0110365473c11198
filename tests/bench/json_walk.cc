// What core/json's own walk over simdjson's structural index costs against simdjson's on-demand walk, over
// one request of a coding agent (149 KB: text, tool calls, results). Best and median of 400 rounds;
// docs/adr/0007.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "core/json.h"

namespace {

constexpr std::size_t kBodyBytes = 149 * 1024;
constexpr std::size_t kRounds = 400;

/// A body of the shape that the outlines read.
std::string agent_body() {
  std::string body =
      R"({"model":"claude-sonnet-5-5","max_tokens":32000,"stream":true,"system":[{"type":"text","text":"You help."}],"messages":[)";
  for (int turn = 0; body.size() < kBodyBytes; ++turn) {
    const std::string number = std::to_string(turn);
    body += R"({"role":"user","content":"Please look at file )" + number +
            R"( again,\nand \"fix\" what is wrong."},)";
    body +=
        R"({"role":"assistant","content":[{"type":"text","text":"I read it first."},{"type":"tool_use","id":"toolu_)" +
        number + R"(","name":"Read","input":{"file_path":"/srv/project/src/file)" + number +
        R"(.cc","limit":200}}]},)";
    body += R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_)" + number +
            R"(","content":")";
    for (int line = 0; line < 40; ++line)
      body += "  " + std::to_string(line) + R"(\tconst int value = compute(left, right);\n)";
    body += R"("}]},)";
  }
  body += R"({"role":"user","content":"go on"}]})";
  return body;
}

template <class Work>
double measure(const char* name, const Work& work) {
  std::array<double, kRounds> times_us{};
  for (double& time_us : times_us) {
    const auto start = std::chrono::steady_clock::now();
    work();
    time_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  }
  std::sort(times_us.begin(), times_us.end());
  const double median_us = times_us[kRounds / 2];
  std::printf("  %-52s best %8.2f us   median %8.2f us\n", name, times_us.front(), median_us);
  return median_us;
}

/// Reads every value there is, as a reader that refuses bad requests has to.
std::size_t visit(simdjson::ondemand::value value) {
  std::size_t texts = 0;
  switch (value.type()) {
    case simdjson::ondemand::json_type::object:
      for (auto member : value.get_object()) {
        const std::string_view key = member.unescaped_key();
        texts += key.size() + visit(member.value());
      }
      break;
    case simdjson::ondemand::json_type::array:
      for (auto element : value.get_array()) texts += visit(element.value());
      break;
    case simdjson::ondemand::json_type::string:
      texts += std::string_view(value.get_string()).size();
      break;
    case simdjson::ondemand::json_type::number:
      texts += static_cast<std::size_t>(double(value.get_double()) != 0);
      break;
    case simdjson::ondemand::json_type::boolean:
      texts += static_cast<std::size_t>(bool(value.get_bool()));
      break;
    case simdjson::ondemand::json_type::null:
      break;
  }
  return texts;
}

std::size_t visit(ccrules::json::Value& value) {
  using ccrules::json::Type;
  std::size_t texts = 0;
  switch (value.type()) {
    case Type::kObject: {
      auto object = value.object();
      while (object.ok() && object->next()) texts += object->key().size() + visit(object->value());
      break;
    }
    case Type::kArray: {
      auto array = value.array();
      while (array.ok() && array->next()) texts += visit(array->value());
      break;
    }
    case Type::kString: {
      const auto text = value.string();
      texts += text.ok() ? text->size() : 0;
      break;
    }
    case Type::kNumber: {
      const auto number = value.number();
      texts += static_cast<std::size_t>(number.ok() && *number != 0);
      break;
    }
    case Type::kBool:
    case Type::kNull:
      break;
  }
  return texts;
}

}  // namespace

int main() {
  using namespace ccrules;
  std::string body = agent_body();
  const std::string_view padded = json::padded(body);
  const simdjson::padded_string copy(body);
  simdjson::ondemand::parser parser;
  std::size_t seen = 0;
  std::printf("%zu bytes, simdjson %s\n", body.size(), simdjson::get_active_implementation()->name().c_str());

  (void)measure("on-demand: model and messages counted, rest unchecked", [&] {
    auto document = parser.iterate(copy);
    seen += std::string_view(document["model"]).size();
    for (auto message : document["messages"].get_array()) {
      (void)message;  // stepped over: nothing in it is checked
      ++seen;
    }
  });
  const double theirs_us = measure("on-demand: every value read", [&] {
    auto document = parser.iterate(copy);
    seen += visit(document.get_value());
  });
  const double checked_us = measure("core/json: nothing read, every byte checked",
                                    [&] { seen += static_cast<std::size_t>(json::is_valid(padded)); });
  const double ours_us = measure("core/json: every value read", [&] {
    auto document = json::Document::open_view(padded);
    if (!document.ok()) return;
    auto root = document->root();
    if (root.ok()) seen += visit(*root);
  });
  std::printf("  medians against on-demand's full read: checked %.2f, read %.2f   (%zu)\n",
              checked_us / theirs_us, ours_us / theirs_us, seen % 10);
  return 0;
}
