job "j" {
  meta {
    host         = cidrhost("10.1.0.0/16", 5)
    host_end     = cidrhost("10.1.0.0/16", -2)
    host_v6      = cidrhost("fd00::/64", 16)
    netmask      = cidrnetmask("172.16.0.0/12")
    subnet       = cidrsubnet("10.0.0.0/8", 8, 2)
    subnet_v6    = cidrsubnet("fd00::/48", 16, 162)
    subnets      = jsonencode(cidrsubnets("10.1.0.0/16", 4, 4, 8, 4))
    subnets_none = jsonencode(cidrsubnets("10.1.0.0/16"))
  }
}
