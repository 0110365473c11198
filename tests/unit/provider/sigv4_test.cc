#include <catch2/catch.hpp>

#include "core/hmac.h"
#include "provider/cloud.h"
#include "provider/sigv4.h"

using namespace ccrules;
using namespace ccrules::provider;
using Catch::Matchers::Contains;

namespace {

constexpr std::int64_t kTime = 1'440'938'160'000'000;  // 2015-08-30T12:36:00Z
// The key of the vendor's published examples.
constexpr const char* kKey = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

AwsRequest request(std::string_view method, std::string_view target, std::string_view host, std::string_view scope) {
  AwsRequest request;
  request.method = method;
  request.target = target;
  request.host = host;
  request.scope = scope;
  request.wall_us = kTime;
  return request;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("the keyed hash is that of the RFC's test case") {
  CHECK(hex(digest::hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST_CASE("a request without anything has the signature that the vendor publishes for it") {
  http::Headers headers;
  sign_aws(request("GET", "/", "example.amazonaws.com", "us-east-1/service"), *parse_aws_key(kKey), headers);
  CHECK(headers.get("x-amz-date") == "20150830T123600Z");
  CHECK(headers.get("authorization") ==
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST_CASE("query and content-type are signed: the vendor's ListUsers example") {
  http::Headers headers;
  headers.add("content-type", "application/x-www-form-urlencoded; charset=utf-8");
  headers.add("user-agent", "not signed");
  sign_aws(request("GET", "/?Version=2010-05-08&Action=ListUsers", "iam.amazonaws.com", "us-east-1/iam"), *parse_aws_key(kKey), headers);
  CHECK_THAT(std::string(headers.get("authorization")),
             Contains("SignedHeaders=content-type;host;x-amz-date, ") &&
                 Contains("Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"));
}

TEST_CASE("a body is signed: the vendor's form example") {
  http::Headers headers;
  headers.add("content-type", "application/x-www-form-urlencoded");
  AwsRequest post = request("POST", "/", "example.amazonaws.com", "us-east-1/service");
  post.body = "Param1=value1";
  sign_aws(post, *parse_aws_key(kKey), headers);
  CHECK_THAT(std::string(headers.get("authorization")), Contains("Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"));
}

TEST_CASE("a session's token goes along and is signed") {
  http::Headers headers;
  sign_aws(request("POST", "/v1/messages", "h", "r/s"), *parse_aws_key("id:secret:token"), headers);
  CHECK(headers.get("x-amz-security-token") == "token");
  CHECK_THAT(std::string(headers.get("authorization")), Contains("SignedHeaders=host;x-amz-date;x-amz-security-token, "));
}

TEST_CASE("a key that is none says how it is written") {
  for (const char* key : {"", "id", "id:", ":secret", "id:secret:", "a:b:c:d"}) {
    INFO(key);
    CHECK_FALSE(parse_aws_key(key).ok());
  }
}

TEST_CASE("Claude on Vertex: the model stands in the path, the version in the body, all else as it came") {
  config::Provider provider;
  provider.cloud = "vertex";
  const std::string body = *cloud_body(provider, R"({"model":"claude-x","max_tokens":5, "new":1.50,"messages":[]})", "b-1");
  CHECK(body == R"({"max_tokens":5, "new":1.50,"messages":[],"anthropic_version":"vertex-2023-10-16"})");
  CHECK(cloud_path(provider, "claude-x@20260101", false) == "/models/claude-x@20260101:rawPredict");
  CHECK(cloud_path(provider, "claude-x", true) == "/models/claude-x:streamRawPredict");
  CHECK(cloud_path(provider, "../../a?b", true) == "/models/..%2F..%2Fa%3Fb:streamRawPredict");
}

TEST_CASE("Claude on Bedrock: model in the path, version and betas in the body, and a path of its own for streams") {
  config::Provider provider;
  provider.cloud = "bedrock";
  const std::string body = *cloud_body(provider, R"({"model":"anthropic.claude-x:0","stream":true,"max_tokens":5,"messages":[]})", "b-1, b-2");
  CHECK(body == R"({"max_tokens":5,"messages":[],"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["b-1","b-2"]})");
  CHECK(*cloud_body(provider, R"({"model":"m"})", "") == R"({"anthropic_version":"bedrock-2023-05-31"})");
  CHECK(cloud_path(provider, "anthropic.claude-x:0", false) == "/model/anthropic.claude-x%3A0/invoke");
  CHECK(cloud_path(provider, "anthropic.claude-x:0", true) == "/model/anthropic.claude-x%3A0/invoke-with-response-stream");
}
