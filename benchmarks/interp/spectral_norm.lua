local function A(i, j) return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1) end
local function mul(v, transposed)
  local out = {}
  for i = 0, #v - 1 do
    local s = 0.0
    for j = 0, #v - 1 do
      s = s + (transposed and A(j, i) or A(i, j)) * v[j + 1]
    end
    out[i + 1] = s
  end
  return out
end
local u, v = {}, nil
for i = 1, 100 do u[i] = 1.0 end
for _ = 1, 6 do
  v = mul(mul(u, false), true)
  u = mul(mul(v, false), true)
end
local vbv, vv = 0.0, 0.0
for i = 1, #u do
  vbv = vbv + u[i] * v[i]
  vv = vv + v[i] * v[i]
end
print(string.format("%.9f", (vbv / vv) ^ 0.5))
