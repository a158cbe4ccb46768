local function run()
  local text = "the quick brown fox jumps over the lazy dog and runs away from the angry bear"
  local words = {}
  for w in text:gmatch("%S+") do words[#words + 1] = w end
  local counts = {}
  for k = 0, 19999 do
    for _, w in ipairs(words) do counts[w] = (counts[w] or 0) + 1 end
    local key = string.format("key%d", k % 1000)
    if counts[key] then counts[key] = counts[key] + 1 else counts[key] = 1 end
  end
  local total, n = 0, 0
  for _, v in pairs(counts) do
    total = total + v
    n = n + 1
  end
  return total, n, counts.the
end
print(run())
