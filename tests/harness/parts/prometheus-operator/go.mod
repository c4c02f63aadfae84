// The definition of AlertmanagerConfig. tests/harness/parts.py copies it out of the operator's module.
module kintsugi.test/prometheus-operator

go 1.24.4

require github.com/prometheus-operator/prometheus-operator v0.85.0
