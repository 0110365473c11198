// Recorded traffic of 30 vendors through the readers and writers.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "dialect/dialect.h"
#include "support/files.h"
#include "support/stream_cuts.h"
#include "support/validators.h"

using namespace ccrules;
namespace fs = std::filesystem;

namespace {

struct Case {
  std::string name;
  std::string folder;
  std::string meta;
  [[nodiscard]] bool has(const std::string& file) const { return fs::exists(folder + "/" + file); }
  [[nodiscard]] std::string text(const std::string& file) const {
    return test::read_file(folder + "/" + file);
  }
  [[nodiscard]] bool is(const std::string& feature) const {
    return meta.find('"' + feature + '"') != std::string::npos;
  }
};

std::vector<Case> cases() {
  std::vector<Case> found;
  const auto folder = test::fixtures_dir();
  if (!folder) return found;
  for (const auto& entry : fs::recursive_directory_iterator(*folder + "/openai_chat")) {
    if (entry.path().filename() != "meta.json") continue;
    Case one;
    one.folder = entry.path().parent_path().string();
    one.name = fs::relative(one.folder, *folder).string();
    one.meta = one.text("meta.json");
    found.push_back(std::move(one));
  }
  std::sort(found.begin(), found.end(), [](const Case& a, const Case& b) { return a.name < b.name; });
  return found;
}

std::string padded_copy(const std::string& text) {
  return text + std::string(json::kPadding, ' ');
}

}  // namespace

TEST_CASE("every recorded stream gives the same events for every cut, in the promised order, and ends") {
  for (const Case& one : cases()) {
    if (!one.has("response.sse")) continue;
    CAPTURE(one.name);
    const std::string bytes = one.text("response.sse");
    const test::StreamRun whole = test::read_pieces(dialect::openai_chat(), {bytes});
    if (whole.error) FAIL(whole.error->message);
    const std::string expected = test::to_text(whole);
    INFO(expected.substr(0, 2000));
    CHECK(test::order_fault(whole.events) == "");
    // One case is marked for an error inside Vercel's routing report, which is no error of the stream.
    const bool expected_failure =
        one.is("stream_error") && one.name.find("vercel_gateway") == std::string::npos;
    CHECK(std::holds_alternative<chat::StreamError>(whole.events.back()) == expected_failure);
    std::vector<std::string_view> single;
    for (std::size_t i = 0; i < bytes.size(); ++i) single.push_back(std::string_view(bytes).substr(i, 1));
    CHECK(test::to_text(test::read_pieces(dialect::openai_chat(), single)) == expected);
    // Two pieces cost a whole run each: every position of short streams, a few hundred of long ones.
    const std::size_t step = std::max<std::size_t>(1, bytes.size() / 300);
    for (std::size_t cut = 1; cut < bytes.size(); cut += step) {
      const std::string_view view = bytes;
      const std::string got =
          test::to_text(test::read_pieces(dialect::openai_chat(), {view.substr(0, cut), view.substr(cut)}));
      if (got != expected) {
        CAPTURE(cut);
        CHECK(got == expected);
        break;
      }
    }
  }
}

TEST_CASE("every recorded stream, written again, passes the strict validator") {
  dialect::StreamWriterOptions options;
  options.model = "asked-for";
  options.id = "chatcmpl-1";
  options.created_s = 1700000000;
  for (const Case& one : cases()) {
    if (!one.has("response.sse")) continue;
    CAPTURE(one.name);
    const std::string bytes = one.text("response.sse");
    const test::StreamRun run = test::read_pieces(dialect::openai_chat(), {bytes});
    for (const bool include_usage : {true, false}) {
      options.include_usage = include_usage;
      const std::string written = test::write_stream(dialect::openai_chat(), run.events, options);
      const test::Seen seen = test::check_openai_chat_stream(written, include_usage);
      INFO(seen.report() << "\n" << written.substr(0, 3000));
      CHECK(seen.ok());
    }
  }
}

TEST_CASE("every recorded stream, translated for an Anthropic client, passes the strict validator") {
  dialect::StreamWriterOptions options;
  options.model = "claude-x";
  options.id = "msg_1";
  options.estimated_input_tokens = 7;
  for (const Case& one : cases()) {
    if (!one.has("response.sse")) continue;
    CAPTURE(one.name);
    const std::string bytes = one.text("response.sse");
    const test::StreamRun run = test::read_pieces(dialect::openai_chat(), {bytes});
    const std::string written = test::write_stream(dialect::anthropic(), run.events, options);
    const test::Seen seen = test::check_anthropic_stream(written);
    INFO(seen.report() << "\n" << written.substr(0, 3000));
    CHECK(seen.ok());
  }
}

TEST_CASE("every recorded reply is read, and written again passes the strict validator") {
  dialect::StreamWriterOptions options;
  options.model = "asked-for";
  options.id = "chatcmpl-1";
  for (const Case& one : cases()) {
    if (!one.has("response.json")) continue;
    CAPTURE(one.name);
    const std::string body = one.text("response.json");
    if (one.is("error")) {
      dialect::UpstreamFailure failure;
      failure.status = 400;
      failure.body = body;
      failure.provider = "vendor";
      const Error error = dialect::openai_chat().read_error(failure);
      INFO(error.message);
      CHECK_FALSE(error.message.empty());
      CHECK(test::check_openai_chat_error(dialect::openai_chat().write_error(error, "req_1")).ok());
      continue;
    }
    const auto reply = dialect::openai_chat().read_reply(body, dialect::ReaderOptions{});
    if (!reply) {
      UNSCOPED_INFO(reply.error().message);
      CHECK(reply.ok());
      continue;
    }
    chat::LossNotes losses;
    const std::string written = dialect::openai_chat().write_reply(*reply, options, losses);
    const test::Seen seen = test::check_openai_chat_reply(written);
    INFO(seen.report() << "\n" << written.substr(0, 3000));
    CHECK(seen.ok());
    CHECK(dialect::openai_chat().peek_reply(body).usage == reply->usage);
    const test::Seen translated =
        test::check_anthropic_reply(dialect::anthropic().write_reply(*reply, options, losses));
    INFO(translated.report());
    CHECK(translated.ok());
  }
}

TEST_CASE("every recorded request is read, outlined alike, and written again passes the strict validator") {
  for (const Case& one : cases()) {
    if (!one.has("request.json")) continue;
    CAPTURE(one.name);
    const std::string body = one.text("request.json");
    const std::string padded = padded_copy(body);
    const std::string_view view = std::string_view(padded).substr(0, body.size());
    const auto outline = dialect::openai_chat().outline(view);
    const auto request = dialect::openai_chat().read_request(view);
    if (!request || !outline) {
      UNSCOPED_INFO((request ? outline.error() : request.error()).message);
      CHECK(request.ok());
      CHECK(outline.ok());
      continue;
    }
    CHECK(outline->model == request->model);
    CHECK(outline->stream == request->stream);
    CHECK(outline->include_usage == request->include_usage);
    CHECK(outline->max_tokens == request->max_tokens);
    CHECK(outline->tools == static_cast<std::int64_t>(request->tools.size()));
    CHECK(outline->effort == request->effort);
    CHECK(outline->thinking.kind == request->thinking.kind);
    chat::LossNotes losses;
    dialect::Capabilities target;
    target.model = request->model;
    const auto written = dialect::openai_chat().write_request(*request, target, losses);
    if (!written) {
      UNSCOPED_INFO(written.error().message);
      CHECK(written.ok());
      continue;
    }
    auto faults = test::check_openai_chat_request(*written);
    // Vendors' own members go back out to them.
    faults.erase(std::remove_if(faults.begin(), faults.end(),
                                [](const std::string& fault) {
                                  return fault.find("no member of this dialect") != std::string::npos ||
                                         fault.find("does not exist") != std::string::npos;
                                }),
                 faults.end());
    CAPTURE(faults);
    INFO(written->substr(0, 3000));
    CHECK(faults.empty());
    CHECK(losses.header_value() == "");
  }
}

TEST_CASE(
    "every recorded Anthropic request, translated for a chat provider, passes the strict validator or says "
    "why not") {
  const auto folder = test::fixtures_dir();
  if (!folder) return;
  std::size_t written_count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(*folder + "/anthropic_messages")) {
    if (entry.path().filename() != "request.json") continue;
    const std::string name = fs::relative(entry.path(), *folder).string();
    CAPTURE(name);
    const std::string body = test::read_file(entry.path().string());
    const std::string padded = padded_copy(body);
    const auto request = dialect::anthropic().read_request(std::string_view(padded).substr(0, body.size()));
    if (!request) continue;  // the other dialect's tests judge that
    dialect::Capabilities target;
    target.provider = "vendor";
    target.model = "m";
    chat::LossNotes losses;
    const auto written = dialect::openai_chat().write_request(*request, target, losses);
    if (!written) {
      CHECK(written.error().http_status == 400);
      CHECK(written.error().message.size() > 20);
      continue;
    }
    ++written_count;
    const auto faults = test::check_openai_chat_request(*written);
    CAPTURE(faults, losses.header_value());
    INFO(written->substr(0, 3000));
    CHECK(faults.empty());
  }
  CHECK(written_count > 50);
}
