{{- define "sidenote.name" -}}
{{- printf "%s" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "sidenote.selector" -}}
app.kubernetes.io/name: sidenote
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sidenote.labels" -}}
{{ include "sidenote.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
