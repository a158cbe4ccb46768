local function counter(step)
  local count = 0
  return function(x)
    count = count + x * step
    return count
  end
end

local function run()
  local fs = {}
  for k = 0, 9 do fs[#fs + 1] = counter(k) end
  local last = 0
  for i = 0, 59999 do
    for _, f in ipairs(fs) do last = f(i & 7) end
  end
  return last
end
print(run())
