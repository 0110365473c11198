#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"
#include "http/message.h"

/// Signatures as Amazon's services want them (AWS Signature Version 4; the vendor's documentation with its worked examples,
/// seen 2026-11-20).
namespace ccrules::provider {

/// "KEY-ID:SECRET" or "KEY-ID:SECRET:SESSION-TOKEN", as providers.<name>.api_key holds it.
struct AwsKey {
  std::string id, secret, session;
};
Result<AwsKey> parse_aws_key(std::string_view text);

/// What is signed besides the headers.
struct AwsRequest {
  std::string_view method = "POST";
  std::string_view target;  ///< path and query, as they go out
  std::string_view host;    ///< the Host field
  std::string_view body;
  std::string_view scope;  ///< "region/service"
  std::int64_t wall_us = 0;
};

/// Adds x-amz-date, x-amz-security-token where the key has one, and authorization. Signed are these, the host, the content-type
/// and all other x-amz- headers; what is signed must go out unchanged.
void sign_aws(const AwsRequest& request, const AwsKey& key, http::Headers& headers);

}  // namespace ccrules::provider
