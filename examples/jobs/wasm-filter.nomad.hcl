# A batch job in a WebAssembly module: it turns its arguments into numbered lines in upper case, and ends.
#
#   serai job run examples/jobs/wasm-filter.nomad.hcl
#   serai alloc logs ALLOCATION

variable "module" {
  type        = string
  description = "The module: a name in one of the plugin's module_paths, or an absolute path below one of them."
  default     = "filter.wasm"
}

variable "lines" {
  type        = list(string)
  description = "The text to work on."
  default     = ["a sandbox needs no container", "ship the module, not the machine"]
}

job "wasm-filter" {
  type = "batch"

  group "filter" {
    task "filter" {
      driver = "wasm"

      config {
        module = var.module
        args   = var.lines
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
