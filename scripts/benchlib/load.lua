-- For wrk: a body where the first argument is its size in bytes, and all figures on one line at the end.
function init(args)
    local size = tonumber(args[1])
    if size then
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
        wrk.body = "field=" .. string.rep("x", size - #"field=")
    end
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("FIGURES %d %d %d %d %d %d\n", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
