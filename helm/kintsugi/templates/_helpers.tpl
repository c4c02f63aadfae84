{{- define "kintsugi.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Checks of several values together, which a schema cannot express: empty if they fit, otherwise one error that names them. */}}
{{- define "kintsugi.refuse" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: set the host of the API, or set ingress.enabled to false" -}}
{{- end -}}
{{- if eq (int .Values.service.port) (int .Values.service.healthPort) -}}
{{- fail "service.healthPort: set a port that differs from service.port" -}}
{{- end -}}
{{- if and .Values.ledger.postgresql.existingSecret .Values.ledger.sqlite.existingClaim -}}
{{- fail "ledger: set either ledger.postgresql.existingSecret or ledger.sqlite.existingClaim, not both" -}}
{{- end -}}
{{- range .Values.namespaces -}}
{{- if has . (list "kube-system" "kube-public" "kube-node-lease") -}}
{{- fail (printf "namespaces: remove %s; Kintsugi changes nothing in the namespaces of the cluster itself" .) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.settings "mode" -}}
{{- fail "settings.mode: set the value mode instead" -}}
{{- end -}}
{{- range list "server" "health" -}}
{{- if hasKey (get $.Values.settings . | default dict) "port" -}}
{{- fail (printf "settings.%s.port: the chart sets the ports in the pod; set service.port or service.healthPort for the ports of the Service" .) -}}
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
{{- required "serviceAccount.name: set the name of the existing account, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kintsugi.image" -}}
{{- $repository := required "image.repository: set the repository of the Kintsugi image, as registry.example.com/kintsugi" .Values.image.repository -}}
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

{{/* The volume of a ConfigMap of documents or pages. The name of a volume cannot contain a dot. */}}
{{- define "kintsugi.documents" -}}
{{- printf "documents-%s" . | replace "." "-" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "kintsugi.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "kintsugi.account" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The settings file: the paths that the chart mounts, overridden by the value `settings`. */}}
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
{{- with .Values.rbac.changeKinds -}}
{{- $base = merge $base (dict "guards" (dict "changeKinds" .)) -}}
{{- end -}}
{{- if .Values.pages.configMaps -}}
{{- $base = merge $base (dict "pages" (dict "directory" "/etc/kintsugi-pages")) -}}
{{- end -}}
{{- if .Values.pages.hosts -}}
{{- $base = merge $base (dict "pages" (dict "hosts" .Values.pages.hosts)) -}}
{{- end -}}
{{- if .Values.ledger.encryption.enabled -}}
{{- $base = merge $base (dict "ledger" (dict "encryptionKeyFile" "/var/run/kintsugi-encryption/keys")) -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $base = merge $base (dict "server" (dict
    "tlsCertificateFile" "/var/run/kintsugi-tls/tls.crt" "tlsKeyFile" "/var/run/kintsugi-tls/tls.key")) -}}
{{- end -}}
{{- if .Values.slack.existingSecret -}}
{{- $base = merge $base (dict "notifications" (dict
    "slackTokenFile" "/var/run/kintsugi-slack/bot" "slackAppTokenFile" "/var/run/kintsugi-slack/app"
    "slackMembersFile" "/var/run/kintsugi-slack/members")) -}}
{{- end -}}
{{- if .Values.apprise.existingSecret -}}
{{- $base = merge $base (dict "notifications" (dict "destinationsFile" "/var/run/kintsugi-apprise/destinations")) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $base (deepCopy .Values.settings)) -}}
{{- end -}}

{{/* The address of the API and the webhook in the cluster. */}}
{{- define "kintsugi.url" -}}
{{- $scheme := ternary "https" "http" (not (empty .Values.tls.existingSecret)) -}}
{{- printf "%s://%s.%s.svc:%v" $scheme (include "kintsugi.name" .) .Release.Namespace .Values.service.port -}}
{{- end -}}
