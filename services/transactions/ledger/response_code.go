package ledger

import typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"

// ISO 8583 DE39 values that are not declines.
const (
	responseApproved          = "00"
	responsePartiallyApproved = "10"
	responseNoActionTaken     = "21"
	responseVerified          = "85"
)

// ResponseCode returns the ISO 8583 DE39 value of a decline reason.
func ResponseCode(reason typev1.DeclineReason) string { return responseCodes[reason] }

var responseCodes = map[typev1.DeclineReason]string{
	typev1.DeclineReason_DECLINE_REASON_UNKNOWN_CARD:           "14",
	typev1.DeclineReason_DECLINE_REASON_CARD_NOT_ACTIVATED:     "78",
	typev1.DeclineReason_DECLINE_REASON_CARD_PAUSED:            "62",
	typev1.DeclineReason_DECLINE_REASON_CARD_LOST:              "41",
	typev1.DeclineReason_DECLINE_REASON_CARD_STOLEN:            "43",
	typev1.DeclineReason_DECLINE_REASON_CARD_CLOSED:            "14",
	typev1.DeclineReason_DECLINE_REASON_CARD_EXPIRED:           "54",
	typev1.DeclineReason_DECLINE_REASON_ACCOUNT_SUSPENDED:      "62",
	typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CHARGED_OFF:    "62",
	typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CLOSED:         "46",
	typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT:    "51",
	typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED:  "61",
	typev1.DeclineReason_DECLINE_REASON_COUNT_LIMIT_EXCEEDED:   "65",
	typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED:            "57",
	typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED:       "57",
	typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED:        "62",
	typev1.DeclineReason_DECLINE_REASON_SINGLE_USE_CARD_USED:   "57",
	typev1.DeclineReason_DECLINE_REASON_CURRENCY_NOT_SUPPORTED: "57",
	typev1.DeclineReason_DECLINE_REASON_STALE_MESSAGE:          "30",
}
