job "j" {
  meta {
    plain = <<EOT
  two
 one
EOT
    indented = <<-EOT
      first
        second
      backslash \n ${upper("x")} $${KEEP} ${NOMAD_X}
    EOT
    loop = <<EOT
%{ for x in ["a", "b"] ~}
${x}
%{ endfor ~}
EOT
  }
}
