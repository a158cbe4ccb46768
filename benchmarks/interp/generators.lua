local function numbers(n)
  return coroutine.wrap(function()
    local i = 0
    while i < n do
      coroutine.yield(i)
      i = i + 1
    end
  end)
end
local function squares(it)
  return coroutine.wrap(function()
    for x in it do coroutine.yield(x * x) end
  end)
end
local function run(n)
  local total = 0
  for v in squares(numbers(n)) do total = total + v end
  for x in numbers(n) do total = total + x end
  local kept = {}
  for x = 0, n - 1 do
    if x % 3 == 0 then kept[#kept + 1] = x end
  end
  return total + #kept
end
print(run(300000))
