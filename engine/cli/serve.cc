#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/paint.h"
#include "core/json.h"
#include "core/text.h"
#include "proxy/service.h"

namespace ccrules::cli {
namespace {

/// Flags that are configuration values under another name.
std::map<std::string, std::string> overrides_of(const Arguments& arguments) {
  const std::pair<const char*, const char*> names[] = {{"port", "listen.port"},
                                                       {"host", "listen.host"},
                                                       {"workers", "workers"},
                                                       {"ledger", "ledger.path"},
                                                       {"log-level", "log.level"}};
  std::map<std::string, std::string> overrides;
  for (const auto& [flag, path] : names) {
    if (arguments.has(flag)) overrides[path] = arguments.value(flag);
  }
  return overrides;
}

std::string provider_names(const config::Snapshot& config) {
  std::string out;
  for (const config::Provider& provider : config.providers) {
    if (provider.enabled) out += (out.empty() ? "" : ", ") + provider.id;
  }
  return out;
}

/// What a person who just started the proxy does next. Never shows the key itself.
void print_welcome(std::ostream& out, const Paint& paint, const config::Snapshot& config,
                   const std::string& base_url) {
  const bool keyed = !config.listen.api_key.empty();
  const std::string token = keyed ? "<your listen.api_key>" : "local";
  out << paint.bold("ccrules " CCR_VERSION) << " listens on " << paint.cyan(base_url) << "\n\n";
  Table about({Table::Align::kLeft, Table::Align::kLeft});
  about.row({"configuration",
             config.file.empty() ? "none found: providers come from the environment" : config.file});
  about.row({"providers", provider_names(config)});
  about.row({"ledger", config.ledger.path});
  about.print(out, "  ");
  out << "\n"
      << paint.dim("# Claude Code through this proxy:") << "\n"
      << "export ANTHROPIC_BASE_URL=" << base_url << "\n"
      << "export ANTHROPIC_AUTH_TOKEN='" << token << "'\n"
      << "export CLAUDE_CODE_GATEWAY_HINT_HEADERS=1\n\n"
      << paint.dim("# a first request, answered by the built-in simulator (no key needed):") << "\n"
      << "curl -s " << base_url << "/v1/messages -H 'content-type: application/json' "
      << (keyed ? "-H 'x-api-key: " + token + "' " : std::string())
      << "-d "
         "'{\"model\":\"sim,hello\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":"
         "\"hello\"}]}'\n"
      << std::endl;
}

void print_json(std::ostream& out, const config::Snapshot& config, const std::string& base_url) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object()
      .member("schema", "ccrules.serve/1")
      .member("version", CCR_VERSION)
      .member("base_url", base_url)
      .member("config", config.file)
      .member("ledger", config.ledger.path)
      .key("providers")
      .begin_array();
  for (const config::Provider& provider : config.providers) writer.string(provider.id);
  writer.end_array().end_object();
  out << text << std::endl;
}

Exit run_serve(const Arguments& arguments, Io& io) {
  proxy::ServiceOptions options;
  options.config = config_options(arguments, io, overrides_of(arguments));
  options.snapshot = load_config(options.config, io);
  if (!options.snapshot) return Exit::kUsage;
  log::configure(options.snapshot->log);
  options.on_listening = [&](const std::string& base_url) {
    if (arguments.json()) print_json(io.out, *options.snapshot, base_url);
    if (!arguments.json() && !arguments.has("quiet")) {
      print_welcome(io.err, paint_for_err(io), *options.snapshot, base_url);
    }
  };
  const Result<void> served = proxy::run_service(options);
  if (served.ok()) return Exit::kOk;
  const Error& error = served.error();
  const std::vector<std::string_view> lines = text::split(error.message, '\n');  // each mistake in the rules has its own
  (void)usage_error(io, std::string(lines.front()));                             // the code below is more exact
  for (std::size_t i = 1; i < lines.size(); ++i) io.err << "  " << plain_text(lines[i]) << "\n";
  return error.type == "port_in_use" ? Exit::kRunning : Exit::kUsage;
}

}  // namespace

Command serve_command() {
  Command command;
  command.name = "serve";
  command.summary = "Run the proxy in the foreground";
  command.about =
      "Serves until SIGTERM or Ctrl-C, then lets running answers finish (a second signal ends them). SIGHUP "
      "reads the\n"
      "configuration and the rules again; when they have an error the old ones stay.\n"
      "With --json one line on stdout tells scripts the address.";
  command.flags = {{"port", "PORT", "port to listen on; 0 takes any free one", {}},
                   {"host", "ADDRESS", "address to listen on", {}},
                   {"workers", "N", "threads that serve; 0: one per core", {}},
                   {"ledger", "FILE", "where requests are recorded", {}},
                   {"log-level", "LEVEL", "how much is logged", {"debug", "info", "warn", "error", "off"}},
                   {"quiet", "", "no welcome", {}}};
  command.examples = {{"ccrules serve", "on 127.0.0.1:3456, or as ccrules.json says"},
                      {"ccrules serve --port 0 --json", "on a free port, which is printed as JSON"}};
  command.run = &run_serve;
  return command;
}

}  // namespace ccrules::cli
