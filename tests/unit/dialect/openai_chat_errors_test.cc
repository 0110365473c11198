#include <string>

#include <catch2/catch.hpp>

#include "dialect/dialect.h"
#include "dialect/failure.h"
#include "support/validators.h"

using namespace ccrules;

namespace {

Error read(int status, const std::string& body, std::int64_t estimated = 0, std::int64_t context = 0) {
  dialect::UpstreamFailure failure;
  failure.status = status;
  failure.body = body;
  failure.provider = "vendor";
  failure.model = "m";
  failure.estimated_input_tokens = estimated;
  if (context > 0) failure.context_tokens = context;
  return dialect::openai_chat().read_error(failure);
}

}  // namespace

TEST_CASE("the message is found in every vendor's shape") {
  CHECK(
      read(400, R"({"error":{"message":"bad tool","type":"invalid_request_error","param":null,"code":null}})")
          .message == "bad tool");
  CHECK(read(400, R"({"object":"error","message":"bad tool","type":"BadRequestError","code":400})").message ==
        "bad tool");
  CHECK(
      read(
          400,
          R"({"type":"error","error":{"type":"invalid_request_error","message":"bad tool"},"request_id":"r"})")
          .message == "bad tool");
  CHECK(read(400, R"([{"error":{"code":400,"message":"bad tool","status":"INVALID_ARGUMENT"}}])").message ==
        "bad tool");
  CHECK(read(400, R"({"error":"bad tool"})").message == "bad tool");
  CHECK(read(400, R"({"message":"bad tool"})").message == "bad tool");
  CHECK(read(400, R"("bad tool")").message == "bad tool");
  CHECK(read(400, "bad tool\n").message == "bad tool");
  CHECK(read(422,
             R"({"detail":[{"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required"}]})")
            .message == "body.messages.0.role: Field required");
  CHECK(
      read(
          422,
          R"({"object":"error","message":{"detail":[{"loc":["body","n"],"msg":"too many"}]},"type":"invalid"})")
          .message == "body.n: too many");
  CHECK(read(502, "<html><head><title>502 Bad Gateway</title></head><body>x</body></html>").message ==
        "502 Bad Gateway");
  CHECK(read(400,
             R"({"error":{"code":400,"message":"Provider returned error","metadata":{"provider_name":"X",)"
             R"("raw":"{\"error\":{\"message\":\"bad tool\"}}"}}})")
            .message == "Provider returned error: bad tool");
}

TEST_CASE("an answer without words still says what to do") {
  CHECK(read(500, "").message ==
        "provider \"vendor\" answered HTTP 500 without saying why; try again or route to another provider");
  CHECK(read(404, "<html></html>").message ==
        "provider \"vendor\" knows no such model or path (HTTP 404); check providers.vendor.base_url and the "
        "model's name");
  CHECK(read(302, "").message.find("set providers.vendor.base_url") != std::string::npos);
  CHECK(read(302, "").code == ErrorCode::kUpstreamProtocol);
}

TEST_CASE("statuses become the status and the retry verdict of the translation table") {
  struct Row {
    int status;
    const char* body;
    ErrorCode code;
    int shown;
    Retry retry;
  };
  const Row rows[] = {
      {400, R"({"error":{"message":"x"}})", ErrorCode::kUpstreamRefused, 400, Retry::kNever},
      {422, R"({"error":{"message":"x"}})", ErrorCode::kUpstreamRefused, 400, Retry::kNever},
      {404, R"({"error":{"message":"x"}})", ErrorCode::kNotFound, 404, Retry::kNextTarget},
      {400, R"({"error":{"message":"x","code":"model_not_found"}})", ErrorCode::kNotFound, 404,
       Retry::kNextTarget},
      {401, R"({"error":{"message":"x"}})", ErrorCode::kUpstreamAuth, 403, Retry::kNextTarget},
      {403, R"({"error":{"message":"x"}})", ErrorCode::kUpstreamAuth, 403, Retry::kNextTarget},
      {402, R"({"error":{"message":"x"}})", ErrorCode::kUpstreamRefused, 402, Retry::kNextTarget},
      {429, R"({"error":{"message":"x","code":"insufficient_quota"}})", ErrorCode::kUpstreamRefused, 402,
       Retry::kNextTarget},
      {400, R"({"error":{"message":"Your credit balance is too low to access the API"}})",
       ErrorCode::kUpstreamRefused, 402, Retry::kNextTarget},
      {408, "{}", ErrorCode::kUpstreamTimeout, 504, Retry::kNextTarget},
      {504, "{}", ErrorCode::kUpstreamTimeout, 504, Retry::kNextTarget},
      {413, R"({"error":{"message":"body too big"}})", ErrorCode::kTooLarge, 413, Retry::kNextTarget},
      {429, R"({"error":{"message":"x"}})", ErrorCode::kUpstreamRateLimited, 429, Retry::kSameTarget},
      {500, "{}", ErrorCode::kUpstreamFailed, 500, Retry::kSameTarget},
      {502, "{}", ErrorCode::kUpstreamFailed, 500, Retry::kSameTarget},
      {503, "{}", ErrorCode::kUpstreamOverloaded, 529, Retry::kSameTarget},
      {529, "{}", ErrorCode::kUpstreamOverloaded, 529, Retry::kSameTarget},
      {500, R"({"error":{"message":"The model is overloaded"}})", ErrorCode::kUpstreamOverloaded, 529,
       Retry::kSameTarget},
      {200, R"({"error":{"code":429,"message":"x"}})", ErrorCode::kUpstreamRateLimited, 429,
       Retry::kSameTarget},
      {200, R"({"error":{"code":"1302","message":"x"}})", ErrorCode::kUpstreamRateLimited, 429,
       Retry::kSameTarget},
      {200, R"({"error":{"message":"x"}})", ErrorCode::kUpstreamFailed, 500, Retry::kSameTarget},
  };
  for (const Row& row : rows) {
    CAPTURE(row.status, row.body);
    const Error error = read(row.status, row.body);
    CHECK(error.code == row.code);
    CHECK(error.http_status == row.shown);
    CHECK(error.retry == row.retry);
    CHECK(error.origin == Origin::kUpstream);
    CHECK(error.provider == "vendor");
  }
}

TEST_CASE("a refused key names the provider and the setting, and the key itself is removed") {
  const Error error = read(
      401,
      R"({"error":{"message":"Incorrect API key provided: sk-proj-abcdef1234567890. See https://x.","code":"invalid_api_key"}})");
  CHECK(error.message ==
        "provider \"vendor\" did not accept our key (HTTP 401); check providers.vendor.api_key: Incorrect "
        "API key provided: [key removed] See https://x.");
  CHECK(error.type == "invalid_api_key");
}

TEST_CASE("retry-after comes from the headers, or from Gemini's RetryInfo") {
  dialect::UpstreamFailure failure;
  failure.status = 429;
  failure.body =
      R"([{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x","retryDelay":"37s"}]}}])";
  CHECK(dialect::openai_chat().read_error(failure).retry_after_ms == 37000);
  failure.retry_after_ms = 1500;
  CHECK(dialect::openai_chat().read_error(failure).retry_after_ms == 1500);
}

TEST_CASE("G-21: a spend limit without retry-after is not to be retried") {
  const Error error = read(429, R"({"type":"error","error":{"type":"rate_limit_error","message":"limit",)"
                                R"("details":{"error_code":"enforced_spend_limit_reached"}}})");
  CHECK(error.http_status == 429);
  CHECK(error.should_retry_false);
  CHECK(error.retry == Retry::kNextTarget);
}

TEST_CASE("G-1: every vendor's overflow becomes the wording that makes Claude Code compact") {
  struct Row {
    const char* words;
    const char* expected;
  };
  const Row rows[] = {
      {"This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 "
       "tokens. Please reduce the length of the "
       "messages.",
       "prompt is too long: 130001 tokens > 128000 maximum"},
      {"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the "
       "messages, 1000 in the completion).",
       "input length and `max_tokens` exceed context limit: 4000 + 1000 > 4096"},
      {"'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is "
       "32768 tokens and your request has "
       "5000 input tokens (32000 > 32768 - 5000).",
       "input length and `max_tokens` exceed context limit: 5000 + 32000 > 32768"},
      {"This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
       "prompt is too long: 140000 tokens > 131072 maximum"},
      {"prompt token count of 70000 exceeds the limit of 64000",
       "prompt is too long: 70000 tokens > 64000 maximum"},
      {"Invalid request: Your request exceeded model token limit: 131072 (requested: 150000)",
       "prompt is too long: 150000 tokens > 131072 maximum"},
      {"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
       "prompt is too long: 1200000 tokens > 1048576 maximum"},
      {"the request exceeds the available context size, try increasing it",
       "prompt is too long: 9001 tokens > 9000 maximum"},
      {"request (12345 tokens) exceeds the available context size (8192 tokens), try increasing it",
       "prompt is too long: 12345 tokens > 8192 maximum"},
      {"The input (5000 tokens) is longer than the model's context length (4096 tokens).",
       "prompt is too long: 5000 tokens > 4096 maximum"},
      {"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context "
       "length",
       "prompt is too long: 40000 tokens > 32768 maximum"},
      {"Range of input length should be [1, 129024]", "prompt is too long: 129025 tokens > 129024 maximum"},
      {"invalid params, context window exceeds limit", "prompt is too long: 9001 tokens > 9000 maximum"},
      {"Please reduce the length of the messages or completion.",
       "prompt is too long: 9001 tokens > 9000 maximum"},
      {"Input is too long for requested model.", "prompt is too long: 9001 tokens > 9000 maximum"},
      {"Prompt exceeds max length", "prompt is too long: 9001 tokens > 9000 maximum"},
      {"Your input exceeds the context window of this model.",
       "prompt is too long: 9001 tokens > 9000 maximum"},
  };
  for (const Row& row : rows) {
    const Error error = read(400, std::string(R"({"error":{"message":")") + row.words + "\"}}", 100, 9000);
    CAPTURE(row.words);
    CHECK(error.code == ErrorCode::kContextExceeded);
    CHECK(error.http_status == 400);
    CHECK(error.message == std::string(row.expected) + " (" + row.words + ")");
  }
  CHECK(read(400, R"({"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}})").message ==
        "prompt is too long: 210000 tokens > 200000 maximum");
  CHECK(read(400, R"({"error":{"code":"1261","message":"Prompt too long"}})", 5, 10).code ==
        ErrorCode::kContextExceeded);
  CHECK(read(400, R"({"error":{"code":"context_length_exceeded","message":"no"}})").message ==
        "prompt is too long (no)");
  CHECK(read(413, "").code == ErrorCode::kContextExceeded);
  CHECK(read(400, "", 100, 90).code == ErrorCode::kContextExceeded);
  CHECK(read(400, "", 80, 90).code == ErrorCode::kUpstreamRefused);
}

TEST_CASE("G-1: throttling that speaks of tokens is no overflow") {
  CHECK(read(429, R"({"error":{"message":"Request too large for gpt-4 on tokens per min (TPM): Limit 30000,)"
                  R"( Requested 40000. Please reduce the length of the messages."}})")
            .code == ErrorCode::kUpstreamRateLimited);
  CHECK(read(400, R"({"message":"Too many tokens, please wait before trying again."})").code ==
        ErrorCode::kUpstreamRefused);
}

TEST_CASE("an upstream's endless or broken words are cut and made valid") {
  const Error error = read(400, std::string(100000, 'x'));
  CHECK(error.message.size() < 4200);
  CHECK(read(400,
             "a\xff"
             "b")
            .message ==
        "a\xEF\xBF\xBD"
        "b");
  std::string nested = "1";
  for (int i = 0; i < 100; ++i) nested = "{\"error\":" + nested + "}";
  CHECK(read(400, nested).http_status == 400);
}

TEST_CASE("G-22: errors are written the way OpenAI's clients read them, 529 as 503") {
  Error error = read(529, R"({"error":{"message":"busy"}})");
  CHECK(dialect::openai_chat().error_status(error) == 503);
  CHECK(
      dialect::openai_chat().write_error(error, "req_1") ==
      R"({"error":{"message":"busy","type":"server_error","param":null,"code":"overloaded"},"request_id":"req_1"})");
  CHECK(dialect::openai_chat()
            .write_error(read(400, R"({"error":{"message":"Prompt too long","code":"1261"}})", 5, 10), "")
            .find(R"("code":"context_length_exceeded")") != std::string::npos);
  for (const int status : {400, 401, 402, 403, 404, 408, 413, 429, 500, 503, 529}) {
    const Error one = read(status, R"({"error":{"message":"words"}})");
    const test::Seen seen = test::check_openai_chat_error(dialect::openai_chat().write_error(one, "req_1"));
    INFO(seen.report());
    CHECK(seen.ok());
    CHECK(seen.error_message.find("words") != std::string::npos);
  }
}

TEST_CASE("a stream's error event has the Error it would have been as an answer") {
  dialect::UpstreamFailure whose;
  whose.provider = "v";
  const Error error =
      dialect::error_of(dialect::stream_error(R"({"error":{"code":429,"message":"slow down"}})", "v"), whose);
  CHECK(error.code == ErrorCode::kUpstreamRateLimited);
  CHECK(error.http_status == 429);
  CHECK(error.message == "slow down");
  CHECK(dialect::error_of({"overloaded_error", "x"}, whose).http_status == 529);
  CHECK(
      dialect::error_of({"invalid_request_error", "prompt is too long: 5 tokens > 4 maximum"}, whose).code ==
      ErrorCode::kContextExceeded);
  CHECK(dialect::error_of({"api_error", "x"}, whose).retry == Retry::kSameTarget);
  CHECK(dialect::error_of({"api_error", "x"}, whose).http_status == 500);
  CHECK(dialect::error_of({"api_error", "the stream ended", true}, whose).http_status == 502);
}

TEST_CASE("the list of models has OpenAI's shape") {
  CHECK(dialect::openai_chat().write_models({{{"a", {}, {}}, {"b", {}, {}}}, false, {}}) ==
        R"({"object":"list","data":[{"id":"a","object":"model","created":0,"owned_by":"ccrules"},)"
        R"({"id":"b","object":"model","created":0,"owned_by":"ccrules"}]})");
}
