-- wrk's arguments after "--": a file of header lines, then one of
--   same              every request is the same
--   unique            each bears a traceparent of its own (W3C Trace Context)
--   tokens FILE       each bears the next token of a file
-- At the end one line of JSON, after "RESULT ".

local function lines(path)
   local found = {}
   for line in io.lines(path) do found[#found + 1] = line end
   return found
end

local function next_token(path)
   local prepared, at = {}, 0
   for _, token in ipairs(lines(path)) do
      wrk.headers["Authorization"] = "Bearer " .. token
      prepared[#prepared + 1] = wrk.format()
   end
   return function()
      at = at % #prepared + 1
      return prepared[at]
   end
end

local function unique()
   local head = wrk.format():sub(1, -3)
   local number = math.random(0, 2 ^ 31)
   return function()
      number = number + 1
      return string.format("%straceparent: 00-0af7651916cd43dd8448eb21%08x-b7ad6b7169203331-01\r\n\r\n", head, number)
   end
end

function init(arguments)
   for _, line in ipairs(lines(arguments[1])) do
      local name, value = line:match("^([^:]+): (.*)$")
      wrk.headers[name] = value
   end
   if arguments[2] == "unique" then
      request = unique()
   elseif arguments[2] == "tokens" then
      request = next_token(arguments[3])
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format(
      'RESULT {"requests": %d, "microseconds": %d, "bytes": %d, "failed": %d, "p50": %d, "p99": %d, "max": %d}\n',
      summary.requests, summary.duration, summary.bytes, failed,
      latency:percentile(50), latency:percentile(99), latency.max))
end
