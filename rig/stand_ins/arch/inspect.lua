-- Stand-in (test double) for lua-inspect in the AUR: not its code.
--
-- Says what a value is, for logs: inspect(value).

local function describe(value, depth)
    if type(value) ~= "table" then
        return type(value) == "string" and ("%q"):format(value) or tostring(value)
    elseif depth == 0 then
        return "{...}"
    end
    local parts = {}
    for key, item in pairs(value) do
        parts[#parts + 1] = ("[%s] = %s"):format(describe(key, 0), describe(item, depth - 1))
    end
    table.sort(parts)
    return "{" .. table.concat(parts, ", ") .. "}"
end

local inspect = {}

function inspect.inspect(value)
    return describe(value, 8)
end

return setmetatable(inspect, { __call = function(_, value) return inspect.inspect(value) end })
