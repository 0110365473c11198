-- Two rules for each reason to be private: one chooses the local model, one refuses what another rule would send elsewhere.
-- The second kind reads provider_class, so it is judged last, for every target that may be tried.
local message = "this project is private: only local models may see it"

local function private(name, fact, values)
  if #values == 0 then
    return
  end
  rule(name) { when = { [fact] = values }, to = "private", fallback = { "private" }, reason = "private: local models only" }
  rule(name .. "-stays") {
    when = { [fact] = values, provider_class = "external" },
    deny = { status = 403, message = message },
  }
end

private("project", "project", settings.projects)
private("agent", "agent", settings.agents)
