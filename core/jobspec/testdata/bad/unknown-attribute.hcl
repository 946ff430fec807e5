job "j" {
  datacenter = ["dc1"]
  priorty    = 3
  vault_token = "x"
  wholly_unlike_anything = 1
}
