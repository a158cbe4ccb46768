local function matmul(a, b)
  local n, m, k = #a, #b[1], #b
  local out = {}
  for i = 1, n do
    local row, o = a[i], {}
    out[i] = o
    for j = 1, m do
      local s = 0.0
      for p = 1, k do s = s + row[p] * b[p][j] end
      o[j] = s
    end
  end
  return out
end
local n = 110
local a, b = {}, {}
for i = 0, n - 1 do
  a[i + 1], b[i + 1] = {}, {}
  for j = 0, n - 1 do
    a[i + 1][j + 1] = (i * j % 7) + 0.5
    b[i + 1][j + 1] = (i + j) % 5 - 1.25
  end
end
local total = 0
for _, row in ipairs(matmul(a, b)) do
  for _, v in ipairs(row) do total = total + v end
end
print(total)
