{{- define "kintsugi.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What no schema can say of several values together: nothing where they fit, else one error that names them. */}}
{{- define "kintsugi.refuse" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: name the host that leads to the API, or leave ingress.enabled off" -}}
{{- end -}}
{{- if eq (int .Values.service.port) (int .Values.service.healthPort) -}}
{{- fail "service.healthPort: it is service.port already; give them two ports" -}}
{{- end -}}
{{- if and .Values.ledger.postgresql.existingSecret .Values.ledger.sqlite.existingClaim -}}
{{- fail "ledger: there is one; name ledger.postgresql.existingSecret or ledger.sqlite.existingClaim" -}}
{{- end -}}
{{- range .Values.namespaces -}}
{{- if has . (list "kube-system" "kube-public" "kube-node-lease") -}}
{{- fail (printf "namespaces: %s is the cluster's own, and nothing is changed there" .) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.settings "mode" -}}
{{- fail "settings.mode: say it as mode" -}}
{{- end -}}
{{- range list "server" "health" -}}
{{- if hasKey (get $.Values.settings . | default dict) "port" -}}
{{- fail (printf "settings.%s.port: in the pod it is the chart's; service.port and service.healthPort are where it is reached" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kintsugi.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kintsugi.labels" -}}
{{ include "kintsugi.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{- define "kintsugi.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "kintsugi.name" .) -}}
{{- else -}}
{{- required "serviceAccount.name: name the account that is there, or set serviceAccount.create" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kintsugi.image" -}}
{{- $repository := required "image.repository: say where the image of Kintsugi was pushed, as registry.example.com/kintsugi" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "kintsugi.secret" -}}
{{- $kind := index . 1 -}}
{{- with index . 0 -}}
{{- (index .Values.tokens $kind).existingSecret | default (printf "%s-%s" (include "kintsugi.name" .) $kind) -}}
{{- end -}}
{{- end -}}

{{/* The volume of a ConfigMap of documents: no name of a volume has a dot. */}}
{{- define "kintsugi.documents" -}}
{{- printf "documents-%s" . | replace "." "-" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "kintsugi.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "kintsugi.account" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The settings' file: what the chart mounts, and the values' own settings over it. */}}
{{- define "kintsugi.settings" -}}
{{- $base := dict
    "mode" .Values.mode
    "alertmanager" (dict "tokenFiles" (list "/var/run/kintsugi/webhook"))
    "server" (dict "operatorTokenFiles" (list "/var/run/kintsugi/operators"))
    "catalog" (dict "example" .Values.catalog.example)
    "telemetry" (dict "logFormat" "json") -}}
{{- if or .Values.services .Values.catalog.documents .Values.catalog.configMaps -}}
{{- $base = merge $base (dict "catalog" (dict "additions" (list "/etc/kintsugi-catalog"))) -}}
{{- end -}}
{{- if .Values.ledger.encryption.enabled -}}
{{- $base = merge $base (dict "ledger" (dict "encryptionKeyFile" "/var/run/kintsugi-encryption/keys")) -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $base = merge $base (dict "server" (dict
    "tlsCertificateFile" "/var/run/kintsugi-tls/tls.crt" "tlsKeyFile" "/var/run/kintsugi-tls/tls.key")) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $base (deepCopy .Values.settings)) -}}
{{- end -}}

{{/* Where the API and the webhook are in the cluster. */}}
{{- define "kintsugi.url" -}}
{{- $scheme := ternary "https" "http" (not (empty .Values.tls.existingSecret)) -}}
{{- printf "%s://%s.%s.svc:%v" $scheme (include "kintsugi.name" .) .Release.Namespace .Values.service.port -}}
{{- end -}}
